import json

import networkx as nx
import numpy as np
import pytest

from mlic.errors import LabelError
from mlic.labels import LabelSpace
from mlic.labels.graph import affinity, label_graph
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import user_partition
from mlic.labels.partitioning import partition_graph, random_partition
from mlic.labels.quality import modularity, partition_quality
from mlic.labels.statistics import count_labels


@pytest.mark.parametrize("seed", range(4))
def test_modularity_equals_networkx(scenes, seed):
    partition = random_partition(scenes.space, [6, 3, 2, 1], seed)
    weights = affinity(scenes, "co", 0.5)
    oracle = nx.community.modularity(nx.from_numpy_array(weights), map(set, partition.parts))
    assert modularity(weights, partition.membership) == pytest.approx(oracle)


def test_strategies_pull_apart(scenes):
    company, apart = (
        partition_quality(partition_graph(label_graph(scenes, s, 0.5), 3), scenes)
        for s in ("cgp", "dgp")
    )
    assert company["ncut"] < apart["ncut"] and company["modularity"] > 0 > apart["modularity"]
    for mass in ("mass_counts", "mass_graph"):
        assert company[mass] > company[f"{mass}_random"]
        assert apart[mass] < apart[f"{mass}_random"]


def test_random_mass_is_the_share_of_pairs(scenes):
    figures = partition_quality(random_partition(scenes.space, [6, 6]), scenes)
    assert figures["mass_graph_random"] == pytest.approx(2 * 15 / 66, abs=0.03)
    assert 0 < figures["mass_graph_random_sd"] < 0.05


def test_one_part_is_trivial_and_nothing_is_nothing(scenes):
    figures = partition_quality(random_partition(scenes.space, [12]), scenes)
    assert (figures["ncut"], figures["mass_counts"], figures["mass_graph"]) == (0.0, 1.0, 1.0)
    assert figures["modularity"] == pytest.approx(0.0)
    empty = count_labels(np.eye(4, dtype=np.int8), LabelSpace(tuple("abcd")))
    figures = partition_quality(random_partition(empty.space, [2, 2]), empty)
    assert figures["modularity"] == figures["mass_counts"] == 0.0


def test_labels_must_match(scenes):
    with pytest.raises(LabelError, match="labels do not match"):
        partition_quality(random_partition(LabelSpace(("a", "c")), [1, 1]), scenes)


@pytest.mark.parametrize(("num_parts", "goal"), [(2, 0.4589), (5, 0.1501)])
def test_the_default_dis_occurrence_cut_reaches_the_best_known(coco, num_parts, goal):
    options = PartitionOptions(num_parts=num_parts)
    graph = label_graph(coco, "dgp", options.exponents["dgp"])
    assert graph.graph["exponent"] == pytest.approx(1 / 3)
    figures = partition_quality(partition_graph(graph, num_parts), coco)
    assert figures["mass_graph"] <= goal + 1e-4


@pytest.mark.parametrize(
    ("entry", "num_parts", "ncut", "mass_counts", "mass_graph"),
    [
        ("cooccurrence", 5, 3.0296, 0.5828, 0.4949),
        ("cooccurrence", 13, 10.4658, 0.3853, 0.2736),
        ("disoccurrence", 3, 2.122, 0.2948, 0.2936),
    ],
)
def test_published_coco_figures(coco, shared, entry, num_parts, ncut, mass_counts, mass_graph):
    published = json.loads((shared / "partitions/coco_published.json").read_text())
    partition = user_partition(published[entry][str(num_parts)], coco.space)
    figures = partition_quality(partition, coco)
    assert figures["ncut"] == pytest.approx(ncut, abs=6e-4)
    assert figures["mass_counts"] == pytest.approx(mass_counts, abs=1e-4)
    assert figures["mass_graph"] == pytest.approx(mass_graph, abs=1e-4)
