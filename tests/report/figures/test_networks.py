import numpy as np
import plotly.io
import pytest

from mlic.errors import LabelError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.graph import label_affinity
from mlic.labels.partition import user_partition
from mlic.labels.partition.partitioning import random_partition
from mlic.labels.partition.quality import partition_quality
from mlic.labels.statistics import count_labels
from mlic.report.figures import draw_networks
from mlic.report.figures.networks import strongest_company


def counted_of(size, seed=0):
    space = LabelSpace(("<b>", *(f"label {i}" for i in range(1, size))))
    states = np.random.default_rng(seed).random((80, size)) < 0.3
    return count_labels(states.astype(np.int8), space)


@pytest.fixture(scope="module")
def counted():
    return counted_of(9)


def lines_of(trace):
    """Both ends of every curve, which end at a gap."""
    points = np.stack([trace.x, trace.y], axis=1)
    curves = np.split(points, np.flatnonzero(np.isnan(points[:, 0])) + 1)[:-1]
    return [(curve[0], curve[-2]) for curve in curves]


def test_every_strong_pair_is_drawn_once_inside_or_between(counted):
    parts = random_partition(counted.space, [5, 4])
    inside, between, labels = draw_networks(counted, {"random": parts}).data
    places = np.stack([labels.x, labels.y], axis=1)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1, atol=1e-6)
    drawn = {True: set(), False: set()}
    for of_kind, trace in ((True, inside), (False, between)):
        for ends in lines_of(trace):
            pair = [int(np.linalg.norm(places - end, axis=1).argmin()) for end in ends]
            drawn[of_kind].add(tuple(sorted(pair)))
    edges = {tuple(pair) for pair in strongest_company(label_affinity(counted, 0.5)).tolist()}
    assert drawn[True] | drawn[False] == edges and drawn[True] and drawn[False]
    member = parts.membership
    assert all((member[i] == member[j]) == kind for kind in drawn for i, j in drawn[kind])


def test_partners_are_the_strongest(counted):
    weights = label_affinity(counted, 0.5)
    dense, edges = weights.toarray(), strongest_company(weights)
    assert (edges[:, 0] < edges[:, 1]).all()
    for label in range(len(dense)):
        best = set(np.argsort(-dense[label], kind="stable")[:3].tolist())
        partners = {int(pair.sum() - label) for pair in edges if label in pair}
        assert best <= partners
    many = strongest_company(label_affinity(counted_of(150), 0.5))
    assert 75 <= len(many) <= 150, "one partner of each"


def test_groups_lie_side_by_side_and_all_few_labels_are_named(counted):
    parts = random_partition(counted.space, [5, 4])
    figure = draw_networks(counted, {"random": parts})
    labels = figure.data[2]
    turn = np.angle(1j * np.asarray(labels.x) + np.asarray(labels.y)) % (2 * np.pi)
    order = parts.membership[np.argsort(turn)]
    assert (np.diff(order) != 0).sum() == 1
    texts = [note.text for note in figure.layout.annotations]
    assert {"&lt;b&gt;", "label 8", "<b>0</b>", "<b>1</b>"} <= set(texts)
    assert len(texts) == 1 + 9 + 2


def test_of_many_labels_the_most_frequent_of_each_group_are_named():
    counted = counted_of(200)
    figure = draw_networks(counted, {"random": random_partition(counted.space, [150, 50])})
    named = [note.text for note in figure.layout.annotations if note.textangle is not None]
    assert len(named) == 60 + 20
    assert f"label {1 + counted.counts[1:].argmax()}" in named


def test_titles_tell_the_quality_beside_chance(counted):
    parts = random_partition(counted.space, [5, 4])
    judged = user_partition([parts.names(0), parts.names(1)], counted.space)
    judged = type(judged)(
        judged.space, "cgp", judged.parts, quality=partition_quality(judged, counted)
    )
    title = draw_networks(counted, {"cgp": judged}).layout.annotations[0].text
    assert f"{judged.quality['coverage_graph']:.0%} of company inside groups" in title
    assert "random groups" in title


def test_it_survives_json_and_refuses_what_does_not_fit(counted):
    parts = random_partition(counted.space, [9])
    assert len(plotly.io.from_json(draw_networks(counted, {"a": parts}).to_json()).data) == 3
    with pytest.raises(PartitionError, match="no partition to draw"):
        draw_networks(counted, {})
    with pytest.raises(LabelError, match="labels do not match"):
        draw_networks(counted, {"user": user_partition([["a"]], LabelSpace(("a",)))})
