import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner
from kedro_datasets.plotly import JSONDataset
from sklearn.metrics import adjusted_rand_score

from mlic.config.shape import RunShape
from mlic.errors import LabelError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.graph import label_graph
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.labels.partition.partitioning import partition_labels
from mlic.labels.statistics import count_labels
from mlic.pipelines.graph_partition import create_pipeline
from mlic.pipelines.graph_partition.nodes import (
    CUTS,
    draw_partitions,
    draw_random_groups,
    draw_survey,
    partition_graph,
    read_user_groups,
    suggest_num_parts,
    survey_num_parts,
)
from mlic.utils.seeds import derive_seed

AGAIN = [derive_seed(0, f"partition_dgp_{i}") for i in range(1, CUTS)]
OPTIONS = PartitionOptions(num_parts=2)
SURVEYED = PartitionOptions(num_parts=3)


@pytest.fixture
def statistics():
    """Two communities of three labels each."""
    rng = np.random.default_rng(0)
    community = rng.integers(2, size=300)
    member = np.arange(6) // 3 == community[:, None]
    states = (rng.random((300, 6)) < np.where(member, 0.7, 0.1)).astype(np.int8)
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
    outputs = SequentialRunner().run(
        create_pipeline(RunShape(strategies=strategies)).to_outputs(*wanted), catalog
    )
    return {name: dataset.load() for name, dataset in outputs.items()}


def test_communities_are_kept_by_cgp_and_divided_by_dgp(statistics):
    found = run(statistics, ("cgp", "dgp"))
    cgp, dgp = found["partition_cgp"], found["partition_dgp"]
    assert {cgp.names(0), cgp.names(1)} == {("a", "b", "c"), ("x", "y", "z")}
    assert all(set(dgp.names(i)) & set("abc") and set(dgp.names(i)) & set("xyz") for i in (0, 1))
    assert (cgp.exponent, dgp.exponent) == (1 / 2, 1 / 3)
    assert cgp.quality and dgp.quality and cgp.seed != dgp.seed


def test_partition_does_not_depend_on_other_strategies(statistics):
    one, both = run(statistics, ("dgp",)), run(statistics, ("cgp", "dgp"))
    assert list(one) == ["partition_dgp"]
    assert one["partition_dgp"].to_dict() == both["partition_dgp"].to_dict()


def sizes(partition):
    return [len(part) for part in partition.parts]


def partition_of(statistics, parts):
    """A CGP partition with these parts."""
    return Partition(statistics.space, "cgp", parts)


@pytest.mark.parametrize(
    ("strategies", "like"),
    [
        (("random", "dgp", "cgp"), "partition_cgp"),
        (("dgp", "random"), "partition_dgp"),
        (("random", "user", "full_label"), None),
    ],
)
def test_random_groups_have_the_sizes_of_a_partition(strategies, like):
    (draw,) = [
        n
        for n in create_pipeline(RunShape(strategies=strategies)).nodes
        if n.name == "draw_random_groups"
    ]
    taken = {name for name in draw.inputs if name.startswith("partition_")}
    assert taken == ({like} if like else set())


def test_random_groups_depend_on_the_seed_only(statistics):
    cut = partition_of(statistics, ((0, 1, 2, 3, 4), (5,)))
    drawn = [draw_random_groups(statistics, OPTIONS, seed, cut) for seed in (0, 0, 1, 2, 3, 4, 5)]
    assert drawn[0] == drawn[1] and len({partition.parts for partition in drawn}) > 2
    assert all(sizes(partition) == [5, 1] for partition in drawn)
    assert {partition.strategy for partition in drawn} == {"random"}
    balanced = run(statistics, ("random",), options=PartitionOptions(num_parts=4, min_size=1))
    assert sizes(balanced["partition_random"]) == [2, 2, 1, 1]
    with pytest.raises(PartitionError):
        draw_random_groups(statistics, PartitionOptions(num_parts=4), 0)


def test_random_groups_do_not_change_the_other_partitions(statistics):
    alone, beside = run(statistics, ("cgp",)), run(statistics, ("cgp", "random"))
    random = beside["partition_random"]
    assert sizes(random) == [3, 3] and list(alone) == ["partition_cgp"]
    cgp = partition_graph(label_graph(statistics, "cgp", 0.5), statistics, OPTIONS, 0)
    assert cgp.to_dict() == alone["partition_cgp"].to_dict()


def test_user_groups_are_checked_and_their_quality_is_measured(statistics):
    named = {"first": ["a", "b"], "rest": ["z", "y", "x", "c"]}
    user = run(statistics, ("user",), user_groups=named)["partition_user"]
    assert user.titles == ("rest", "first") and user.names(0) == ("c", "x", "y", "z")
    assert run(statistics, ("user",), user_groups=list(named.values()))["partition_user"].quality
    with pytest.raises(LabelError, match="'q'"):
        read_user_groups([["a", "q"], list("bcxyz")], statistics, OPTIONS)
    with pytest.raises(PartitionError, match="'c'"):
        read_user_groups([["a", "b"], list("xyz")], statistics, OPTIONS)
    with pytest.raises(PartitionError):
        read_user_groups([["a"], ["b"], list("cxyz")], statistics, OPTIONS)


def test_same_groups_have_the_same_quality_for_every_strategy(statistics):
    """Scores of two strategies can only be compared if they are measured on one graph."""
    found = run(statistics, ("cgp", "dgp", "user"), user_groups=[list("abc"), list("xyz")])
    cgp, user = found["partition_cgp"], found["partition_user"]
    assert cgp.parts == user.parts
    known = ("ncut", "modularity", "coverage_counts", "coverage_graph")
    assert [cgp.quality[name] for name in known] == [user.quality[name] for name in known]
    assert all({*known} <= set(partition.quality) for partition in found.values())


def test_stability_is_the_agreement_between_seeds(statistics):
    stable = run(statistics, ("cgp",))["partition_cgp"].quality["stability"]
    cuts = [
        partition_labels(statistics, "dgp", 2, 1 / 3, seed)
        for seed in (derive_seed(0, "partition_dgp"), *AGAIN)
    ]
    found = run(statistics, ("dgp",))["partition_dgp"].quality["stability"]
    pairs = [adjusted_rand_score(a.membership, b.membership) for a, b in combinations(cuts, 2)]
    assert stable == 1 and found == pytest.approx(np.mean(pairs)) and len(pairs) == 3
    assert "stability" not in run(statistics, ("random",))["partition_random"].quality


def test_full_label_teachers_have_no_partition():
    nodes = create_pipeline(RunShape(strategies=("full_label",))).nodes
    assert [node.name for node in nodes] == ["teachers.assign_groups_full_label"]


# --- surveys and figures ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted():
    rng = np.random.default_rng(0)
    return count_labels((rng.random((80, 6)) < 0.4).astype(np.int8), LabelSpace(tuple("abcdef")))


@pytest.fixture(scope="module")
def graph(counted):
    return label_graph(counted, "cgp", 0.5)


@pytest.fixture(scope="module")
def survey(graph, counted):
    return survey_num_parts(graph, counted, SURVEYED, 0)


def test_survey_contains_the_partition_in_use(graph, counted, survey):
    assert survey["num_parts"].tolist() == [2, 3]
    cut = partition_graph(graph, counted, SURVEYED, 0)
    assert survey["ncut"][1] == pytest.approx(cut.quality["ncut"])
    alone = survey_num_parts(graph, counted, PartitionOptions(num_parts=1), 0)
    assert alone["num_parts"].tolist() == [1, 2, 3]


def test_figures_survive_saving_and_loading(graph, counted, survey, tmp_path):
    survey.to_csv(tmp_path / "survey.csv", index=False)
    again = pd.read_csv(tmp_path / "survey.csv")
    cut = partition_graph(graph, counted, SURVEYED, 0)
    for figure in (
        draw_survey(again, read_back(suggest_num_parts(counted, 0)), SURVEYED),
        draw_partitions(counted, partition_cgp=cut),
    ):
        dataset = JSONDataset(filepath=str(tmp_path / "figure.json"))
        dataset.save(figure)
        assert len(dataset.load().data) == len(figure.data)


def read_back(document):
    return json.loads(json.dumps(document, allow_nan=False))


def test_number_of_communities_is_suggested_and_marked(survey):
    planted = np.kron(np.eye(3, dtype=np.int8), np.ones((4, 2), np.int8))
    suggested = suggest_num_parts(count_labels(planted, LabelSpace(tuple("abcdef"))), seed=0)
    assert (suggested["num_parts"], suggested["share"]) == (3, 1)
    texts = [note.text for note in draw_survey(survey, suggested, SURVEYED).layout.annotations]
    assert texts == ["chosen: 3", "communities: 3 (100% of seeds)"]


def test_labels_that_never_occur_together_suggest_nothing(survey):
    alone = count_labels(np.eye(6, dtype=np.int8), LabelSpace(tuple("abcdef")))
    suggested = read_back(suggest_num_parts(alone, seed=0))
    assert suggested["num_parts"] is None
    texts = [note.text for note in draw_survey(survey, suggested, SURVEYED).layout.annotations]
    assert texts == ["chosen: 3"]


@pytest.mark.parametrize("strategies", [("cgp", "dgp"), ("dgp", "full_label"), ("random", "user")])
def test_all_surveys_share_one_suggestion(strategies):
    graphs = {name for name in strategies if name in ("cgp", "dgp")}
    pipeline = create_pipeline(RunShape(strategies=strategies))
    suggesting = [node for node in pipeline.nodes if node.outputs == ["suggested_parts"]]
    assert len(suggesting) == (1 if graphs else 0)
    drawn = [node for node in pipeline.nodes if "suggested_parts" in node.inputs]
    assert {node.outputs[0] for node in drawn} == {f"survey_{name}_figure" for name in graphs}
