"""Masks of known labels: nested, exact, the same everywhere."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from mlic.errors import DataError, LabelError
from mlic.evaluation.known_labels import LEVELS, NEVER, LabelMasks
from mlic.labels import LabelSpace

IDS = [f"{number}.jpg" for number in range(300)]


def space(size):
    return LabelSpace(tuple(f"label {i}" for i in range(size)))


@pytest.mark.parametrize("size", [4, 10, 80, 81])
def test_every_image_has_exactly_the_share_of_known_labels(size):
    masks = LabelMasks.draw(IDS, space(size), seed=1)
    for level in LEVELS:
        assert ((masks.levels <= level).sum(axis=1) == level * size // 100).all()


def test_labels_that_are_known_stay_so_at_higher_levels_and_the_scored_ones_are_never_known():
    masks = LabelMasks.draw(IDS, space(10), seed=1)
    states = np.random.default_rng(0).integers(0, 2, (300, 10)).astype(np.int8)
    known = [masks.known(states, level) for level in LEVELS]
    for lower, higher in pairwise(known):
        assert (higher[lower >= 0] == lower[lower >= 0]).all()
    scored = masks.scored(states)
    assert (known[-1][scored >= 0] == -1).all()
    assert ((known[-1] >= 0) | (scored >= 0)).all()
    assert (known[0] == -1).all()


def test_a_mask_depends_on_image_and_seed_alone():
    masks = LabelMasks.draw(IDS, space(10), seed=1)
    alone = LabelMasks.draw([IDS[7]], space(10), seed=1)
    np.testing.assert_array_equal(alone.levels[0], masks.levels[7])
    assert (masks.levels[0] != masks.levels[1]).any()
    assert (LabelMasks.draw(IDS, space(10), seed=2).levels != masks.levels).any()


def test_masks_are_the_same_in_every_version():
    masks = LabelMasks.draw(["a.jpg"], space(8), seed=0)
    assert masks.levels[0].tolist() == [25, 100, 100, 25, 50, 75, 50, 75]


def test_every_label_is_scored_equally_often():
    masks = LabelMasks.draw([f"{i}" for i in range(4000)], space(8), seed=0)
    assert np.abs((masks.levels == NEVER).mean(axis=0) - 0.25).max() < 0.03


def test_masks_of_other_images_or_labels_are_refused():
    masks = LabelMasks.draw(IDS, space(8), seed=0)
    masks.require_images(np.array(IDS), space(8))
    with pytest.raises(DataError) as caught:
        masks.require_images(np.array(["other.jpg"]), space(8))
    assert caught.value.fields == {"found": 300, "expected": 1}
    with pytest.raises(LabelError):
        masks.require_images(np.array(IDS), space(9))


def test_table_of_masks_restores_them_also_with_a_label_called_image():
    names = LabelSpace(("image", "b", "c", "d"))
    masks = LabelMasks.draw(IDS, names, seed=0)
    table = pd.DataFrame(masks.to_columns())
    again = LabelMasks.from_table(table, names)
    np.testing.assert_array_equal(again.levels, masks.levels)
    assert again.ids.tolist() == IDS
    with pytest.raises(DataError) as caught:
        LabelMasks.from_table(table.drop(columns="b"), names)
    assert caught.value.fields["name"] == "b"
    with pytest.raises(DataError):
        LabelMasks.from_table(table.assign(b=7), names)
