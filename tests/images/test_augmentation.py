"""Views: a pure function of image id, view number and seed."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlic.images.augmentation import ViewSampler
from mlic.images.options import AugmentationOptions

IDS = [f"image {i}" for i in range(4000)]


def boxes(options, ids=IDS, seed=0, view=0):
    return ViewSampler(ids, options, seed).boxes(np.arange(len(ids)), view)


@given(st.permutations(range(20)), st.integers(0, 9), st.integers(0, 2**31))
def test_boxes_do_not_depend_on_the_order_of_images(order, view, seed):
    shuffled = [IDS[i] for i in order]
    expected = boxes(AugmentationOptions(), IDS[:20], seed, view)[order]
    assert np.array_equal(boxes(AugmentationOptions(), shuffled, seed, view), expected)


def test_rows_select_images_and_may_repeat():
    sampler = ViewSampler(IDS[:5], AugmentationOptions(), 0)
    whole = sampler.boxes(np.arange(5), 1)
    assert np.array_equal(sampler.boxes([3, 0, 3], 1), whole[[3, 0, 3]])


def test_boxes_differ_between_views_and_seeds_and_repeat_modulo_the_number_of_views():
    options = AugmentationOptions(views=3)
    first = boxes(options)
    assert not np.isclose(first[:, :4], boxes(options, view=1)[:, :4]).all(axis=1).any()
    assert not np.isclose(first[:, :4], boxes(options, seed=1)[:, :4]).all(axis=1).any()
    assert np.array_equal(first, boxes(options, view=3))


def splitmix64(state, number):
    """Return number n of the stream of a state, in [0, 1); Steele et al. 2014, in integers."""
    full = 2**64 - 1
    z = (state + (number + 1) * 0x9E3779B97F4A7C15) & full
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & full
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & full
    return ((z ^ (z >> 31)) >> 11) / 2**53


@pytest.mark.parametrize("view", [0, 3])
def test_boxes_are_the_same_on_every_machine(view):
    key = int.from_bytes(hashlib.blake2b(b"5\x1fa", digest_size=8).digest(), "little")
    one, two, three, four, five = (splitmix64(key, view * 8 + i) for i in range(5))
    area = 0.6 + 0.4 * one
    aspect = min(1.25, 1 / area) ** (2 * two - 1)
    width, height = (area * aspect) ** 0.5, (area / aspect) ** 0.5
    expected = [three * (1 - width), four * (1 - height), width, height, five < 0.5]
    found = boxes(AugmentationOptions(), ["a"], seed=5, view=view)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@given(st.floats(0.05, 1), st.floats(1, 4), st.integers(0, 7), st.integers(0, 2**31))
def test_crops_lie_in_the_image_and_respect_the_options(min_crop, max_aspect, view, seed):
    options = AugmentationOptions(views=8, min_crop=min_crop, max_aspect=max_aspect)
    left, top, width, height, _ = boxes(options, IDS[:50], seed, view).T.astype(float)
    assert (left >= 0).all() and (top >= 0).all()
    assert (left + width <= 1 + 1e-6).all() and (top + height <= 1 + 1e-6).all()
    area, aspect = width * height, width / height
    assert (area >= min_crop - 1e-6).all()
    assert (np.maximum(aspect, 1 / aspect) <= max_aspect + 1e-5).all()


def test_mean_area_and_share_of_mirrored_views():
    area = boxes(AugmentationOptions(min_crop=0.6))[:, 2:4].prod(axis=1)
    assert area.mean() == pytest.approx(0.8, abs=0.01)  # uniform from 0.6 to 1
    flips = boxes(AugmentationOptions())[:, 4]
    assert set(flips) == {0, 1} and flips.mean() == pytest.approx(0.5, abs=0.03)
    assert not boxes(AugmentationOptions(flip=False))[:, 4].any()


def test_draws_of_a_view_are_independent():
    four = np.column_stack([boxes(AugmentationOptions(max_aspect=1), view=v)[:, 2] for v in (0, 1)])
    flips = boxes(AugmentationOptions())[:, 4]
    assert abs(np.corrcoef(four.T)[0, 1]) < 0.05
    assert abs(np.corrcoef(four[:, 0], flips)[0, 1]) < 0.05


def test_without_crops_and_flips_boxes_are_the_whole_image():
    options = AugmentationOptions(min_crop=1, flip=False)
    np.testing.assert_allclose(boxes(options), np.tile([0, 0, 1, 1, 0], (len(IDS), 1)), atol=1e-7)
