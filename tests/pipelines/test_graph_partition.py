from itertools import combinations

import numpy as np
import pytest
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner
from sklearn.metrics import adjusted_rand_score

from mlic.errors import LabelError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.graph import label_graph
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.labels.partition.partitioning import partition_labels
from mlic.labels.statistics import count_labels
from mlic.pipelines.graph_partition import create_pipeline
from mlic.pipelines.graph_partition.nodes import CUTS, cut_graph, draw_groups, take_user_groups
from mlic.utils.seeds import derive_seed

AGAIN = [derive_seed(0, f"partition_dgp_{i}") for i in range(1, CUTS)]
OPTIONS = PartitionOptions(num_parts=2)


@pytest.fixture
def statistics():
    """Two companies of three labels each."""
    rng = np.random.default_rng(0)
    company = rng.integers(2, size=300)
    at_home = np.arange(6) // 3 == company[:, None]
    states = (rng.random((300, 6)) < np.where(at_home, 0.7, 0.1)).astype(np.int8)
    return count_labels(states, LabelSpace(tuple("abcxyz")))


def run(statistics, strategies, seed=0, options=OPTIONS, **more):
    inputs = {
        "label_statistics": statistics,
        "params:partition": options,
        "params:seed": seed,
        **more,
    }
    catalog = DataCatalog.from_config({}, {})
    for name, value in inputs.items():
        catalog[name] = value
    wanted = [f"partition_{name}" for name in strategies if name != "full_label"]
    outputs = SequentialRunner().run(create_pipeline(strategies).to_outputs(*wanted), catalog)
    return {name: dataset.load() for name, dataset in outputs.items()}


def test_company_stays_together_or_is_broken_up(statistics):
    found = run(statistics, ("cgp", "dgp"))
    cgp, dgp = found["partition_cgp"], found["partition_dgp"]
    assert {cgp.names(0), cgp.names(1)} == {("a", "b", "c"), ("x", "y", "z")}
    assert all(set(dgp.names(i)) & set("abc") and set(dgp.names(i)) & set("xyz") for i in (0, 1))
    assert (cgp.exponent, dgp.exponent) == (1 / 2, 1 / 3)
    assert cgp.quality and dgp.quality and cgp.seed != dgp.seed


def test_one_strategy_is_enough_and_a_seed_decides(statistics):
    one, both = run(statistics, ("dgp",)), run(statistics, ("cgp", "dgp"))
    assert list(one) == ["partition_dgp"]
    assert one["partition_dgp"].to_dict() == both["partition_dgp"].to_dict()


def sizes(partition):
    return [len(part) for part in partition.parts]


def like(statistics, parts):
    """A cut of these parts, whatever the graph says."""
    return Partition(statistics.space, "cgp", parts)


@pytest.mark.parametrize(
    ("strategies", "wired"),
    [
        (("random", "dgp", "cgp"), "partition_cgp"),
        (("dgp", "random"), "partition_dgp"),
        (("random", "user", "full_label"), None),
    ],
)
def test_random_groups_take_the_sizes_of_a_cut(strategies, wired):
    (draw,) = [n for n in create_pipeline(strategies).nodes if n.name == "draw_groups"]
    taken = {name for name in draw.inputs if name.startswith("partition_")}
    assert taken == ({wired} if wired else set())


def test_random_groups_are_dealt_by_the_seed_alone(statistics):
    cut = like(statistics, ((0, 1, 2, 3, 4), (5,)))
    drawn = [draw_groups(statistics, OPTIONS, seed, cut) for seed in (0, 0, 1, 2, 3, 4, 5)]
    assert drawn[0] == drawn[1] and len({partition.parts for partition in drawn}) > 2
    assert all(sizes(partition) == [5, 1] for partition in drawn)
    assert {partition.strategy for partition in drawn} == {"random"}
    balanced = run(statistics, ("random",), options=PartitionOptions(num_parts=4, min_size=1))
    assert sizes(balanced["partition_random"]) == [2, 2, 1, 1]
    with pytest.raises(PartitionError, match="at most 3 parts"):
        draw_groups(statistics, PartitionOptions(num_parts=4), 0)


def test_a_control_leaves_the_cuts_as_they_are(statistics):
    alone, beside = run(statistics, ("cgp",)), run(statistics, ("cgp", "random"))
    kept = beside["partition_random"]
    assert sizes(kept) == [3, 3] and list(alone) == ["partition_cgp"]
    cgp = cut_graph(label_graph(statistics, "cgp", 0.5), statistics, OPTIONS, 0)
    assert cgp.to_dict() == alone["partition_cgp"].to_dict()


def test_groups_by_hand_are_checked_and_judged(statistics):
    named = {"first": ["a", "b"], "rest": ["z", "y", "x", "c"]}
    user = run(statistics, ("user",), user_groups=named)["partition_user"]
    assert user.titles == ("rest", "first") and user.names(0) == ("c", "x", "y", "z")
    assert run(statistics, ("user",), user_groups=list(named.values()))["partition_user"].quality
    with pytest.raises(LabelError, match="'q'"):
        take_user_groups([["a", "q"], list("bcxyz")], statistics, OPTIONS)
    with pytest.raises(PartitionError, match="'c' is in no part"):
        take_user_groups([["a", "b"], list("xyz")], statistics, OPTIONS)
    with pytest.raises(PartitionError, match="3 parts but 2 teachers"):
        take_user_groups([["a"], ["b"], list("cxyz")], statistics, OPTIONS)


def test_the_same_groups_have_the_same_quality_whoever_made_them(statistics):
    """Figures of two strategies can only be compared if they are of one graph."""
    found = run(statistics, ("cgp", "dgp", "user"), user_groups=[list("abc"), list("xyz")])
    cgp, user = found["partition_cgp"], found["partition_user"]
    assert cgp.parts == user.parts
    known = ("ncut", "modularity", "coverage_counts", "coverage_graph")
    assert [cgp.quality[name] for name in known] == [user.quality[name] for name in known]
    assert all({*known} <= set(partition.quality) for partition in found.values())


def test_a_cut_says_whether_another_seed_would_make_another(statistics):
    sure = run(statistics, ("cgp",))["partition_cgp"].quality["stability"]
    cuts = [
        partition_labels(statistics, "dgp", 2, 1 / 3, seed)
        for seed in (derive_seed(0, "partition_dgp"), *AGAIN)
    ]
    told = run(statistics, ("dgp",))["partition_dgp"].quality["stability"]
    pairs = [adjusted_rand_score(a.membership, b.membership) for a, b in combinations(cuts, 2)]
    assert sure == 1 and told == pytest.approx(np.mean(pairs)) and len(pairs) == 3
    assert "stability" not in run(statistics, ("random",))["partition_random"].quality


def test_plain_has_no_partition():
    assert not create_pipeline(("full_label",)).nodes
