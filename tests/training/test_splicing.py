"""Spliced images: what the cells show, which labels they have, and which images are joined."""

import numpy as np
import pytest
import torch

from mlic.errors import TrainingError
from mlic.labels.context import LabelContext
from mlic.labels.partition import Partition
from mlic.training.options import SpliceOptions
from mlic.training.splicing import NO_GROUP, Splicer, cut_cells
from mlic.training.train import make_task, train


def draw(states, side=24, epochs=range(1, 9), membership=None, **options):
    """Spliced images of one batch, whose images have constant pixels: their own number, plus 1."""
    splicer = Splicer(SpliceOptions(**{"share": 1, "blank": 0, **options}), 3, membership)
    images = torch.arange(1.0, len(states) + 1).view(-1, 1, 1, 1).expand(-1, 3, side, side)
    return [splicer.start(epoch)(images, states) for epoch in epochs]


STATES = torch.tensor(np.random.default_rng(0).integers(-1, 2, (12, 5)), dtype=torch.int8)


@pytest.mark.parametrize("side", [24, 25])
def test_cells_show_their_sources(side):
    found = draw(STATES, side)
    assert {one.grid for one in found} > {(2, 2)}
    for one in found:
        rows, columns = one.grid
        assert one.images.shape == (12, 3, side, side)
        for image, sources in zip(one.images, one.sources.tolist(), strict=True):
            for number, source in enumerate(sources):
                top = number // columns * -(-side // rows) + side // 6
                left = number % columns * -(-side // columns) + side // 6
                assert image[:, top, left].tolist() == pytest.approx([source + 1] * 3)
            assert len(set(sources)) == len(sources)


def test_blank_cells_show_nothing_and_give_no_label():
    for one in draw(STATES, blank=1):
        cells = one.kept.shape[1]
        assert (one.kept.sum(dim=1) >= 1).all() and (one.kept.sum(dim=1) < cells).all()
        for states, sources, kept in zip(one.states, one.sources, one.kept, strict=True):
            shown = STATES[sources[kept]]
            present = (shown == 1).any(dim=0)
            assert torch.equal(states == 1, present)
            assert torch.equal(states == 0, (shown == 0).all(dim=0))
    first = draw(STATES, blank=1)[0]
    assert (first.images == 0).any() and not (draw(STATES)[0].images == 0).any()


@pytest.mark.parametrize(("partners", "same"), [("same_group", True), ("other_group", False)])
def test_partners_are_of_the_wanted_groups(partners, same):
    membership = np.array([0, 0, 1, 1])
    states = torch.zeros(12, 4, dtype=torch.int8)
    states[:6, 0] = states[6:, 2] = states[6:, 3] = states[6:, 1] = 1
    for one in draw(states, membership=membership, partners=partners):
        groups = one.sources.numpy() >= 6
        agree = groups[:, 1:] == groups[:, :1]
        assert (agree == same).all()


def test_image_without_labels_is_in_no_group():
    splicer = Splicer(SpliceOptions(share=1), 0, np.array([0, 1]))
    states = np.array([[0, 0], [0, 1], [-1, 1], [1, 1]], np.int8)
    assert splicer._groups(states).tolist() == [NO_GROUP, 1, 1, 0]


def test_splices_depend_on_seed_and_epoch_alone():
    one, again, other = draw(STATES, epochs=[1, 1, 2])
    assert torch.equal(one.sources, again.sources) and torch.equal(one.images, again.images)
    assert one.grid != other.grid or not torch.equal(one.sources, other.sources)


def test_small_batches():
    (none,) = draw(STATES[:1], epochs=[1], share=0.25)
    assert none is None
    for one in draw(STATES[:2]):  # fewer images than cells: they are shown twice
        assert set(one.sources.flatten().tolist()) <= {0, 1}


@pytest.mark.parametrize(("size", "grid"), [((4, 4), (2, 2)), ((4, 6), (2, 3)), ((3, 3), (2, 2))])
def test_every_cell_has_its_part_of_the_maps(size, grid):
    maps = torch.randn(2, 5, *size)
    found = cut_cells(maps, grid)
    height, width = (-(-side // parts) for side, parts in zip(size, grid, strict=True))
    assert found.shape == (2 * grid[0] * grid[1], 5, height, width)
    if size != (3, 3):  # interpolated first
        assert torch.equal(found[grid[0] * grid[1] - 1], maps[0, :, -height:, -width:])
        assert torch.equal(found[-grid[1]], maps[1, :, -height:, :width])


def test_training_with_splices_differs_and_is_reproducible(make_job):
    splice = {"share": 0.5, "consistency": 1.0}
    plain, one, again = (
        train(make_task(make_job(**own)))[0] for own in ({}, {"splice": splice}, {"splice": splice})
    )
    assert one.fingerprint == again.fingerprint != plain.fingerprint
    assert {"loss_hard", "loss_cells"} <= set(one.info.history[0])
    assert "loss_cells" not in plain.info.history[0]


def test_consistency_is_zero_where_cells_are_predicted_like_their_images(make_job):
    task = make_task(make_job(splice={"share": 1, "consistency": 1.0}))
    (splices,) = draw(STATES, epochs=[1], blank=0.5)
    logits = torch.randn(12, 5, requires_grad=True)
    alike = logits.detach()[splices.sources.flatten()]
    assert task._compare_cells(logits, alike, splices) == 0
    other = alike + 1
    blank = ~splices.kept.flatten()
    far = task._compare_cells(logits, other, splices)
    other[blank] += 5  # blank cells do not count
    assert far > 0 and task._compare_cells(logits, other, splices) == far
    assert not far.requires_grad  # the images are the target


def test_groups_come_from_the_partition(make_job, labels):
    own = {"splice": {"share": 0.5, "partners": "other_group"}}
    with pytest.raises(TrainingError) as raised:
        make_task(make_job(**own))
    assert raised.value.fields["parameter"] == "training.splice.partners"
    partition = Partition(labels.space, "cgp", ((0, 3), (1, 2)))
    job = make_job(context=LabelContext(labels.space, partition=partition), **own)
    assert job.components()["splice_groups"] == partition.fingerprint
    assert make_task(job).splicer.membership.tolist() == partition.membership.tolist()


def test_features_that_are_no_maps_have_no_cells():
    with pytest.raises(TrainingError):
        cut_cells(torch.zeros(2, 9, 5), (1, 2))
