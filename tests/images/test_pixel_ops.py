"""Cutout and RandAugment: functions of pixels and given random numbers."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional as oracle

from mlic.images import pixel_ops
from mlic.images.augmentation import ViewSampler
from mlic.images.options import AugmentationOptions
from mlic.images.pixel_ops import OPERATIONS, cut_out, rand_augment

IDS = [f"image {i}" for i in range(600)]
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
BOTH = AugmentationOptions(views=3, cutout=0.5, rand_augment=2)
unit = st.floats(0, 1, exclude_max=True)


def augmented(name, strength=8, way=0.0, image=IMAGE, place=(0.5, 0.5)):
    """Apply one operation with a strength from 0 to 8."""
    which = (list(OPERATIONS).index(name) + 0.5) / len(OPERATIONS)
    return rand_augment(image, np.array([[0, which, (strength + 0.5) / 9, way, *place]]))


# Cutout


@given(unit, unit, st.floats(0.1, 1))
def test_cutout_changes_one_box_of_one_colour_only(row, column, share):
    black = np.zeros((20, 30, 3), dtype=np.uint8)
    found = cut_out(black, share, [row, column, 0.999, 0.5, 0.25])
    hidden = (found == (255, 128, 64)).all(axis=2)
    assert not found[~hidden].any() and not black.any()
    rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
    assert hidden.sum() == len(rows) * len(columns)  # a rectangle
    for lines, side, at in ((rows, 20, row), (columns, 30, column)):
        length = int(share * side + 0.5) // 2 * 2
        assert length / 2 <= len(lines) <= length
        assert len(lines) == 0 or lines[0] <= int(at * side) <= lines[-1] + 1


def test_cutout_in_the_middle_is_not_clipped():
    found = cut_out(IMAGE, 0.5, [0.5, 0.5, 0, 0, 0])
    assert not found[8:24, 8:24].any()
    assert np.array_equal(found[:8], IMAGE[:8])


# RandAugment: torchvision's functions of the same name


@pytest.fixture
def tensor():
    return torch.from_numpy(IMAGE).permute(2, 0, 1)


@pytest.mark.parametrize("way", [0.0, 0.9])
@pytest.mark.parametrize("strength", [0, 4, 8])
@pytest.mark.parametrize(
    ("name", "function", "argument"),
    [
        ("invert", oracle.invert, None),
        ("equalize", oracle.equalize, None),
        ("autocontrast", oracle.autocontrast, None),
        ("brightness", oracle.adjust_brightness, lambda a: 1 + 0.9 * a),
        ("contrast", oracle.adjust_contrast, lambda a: 1 + 0.9 * a),
        ("color", oracle.adjust_saturation, lambda a: 1 + 0.9 * a),
        ("sharpness", oracle.adjust_sharpness, lambda a: 1 + 0.9 * a),
        ("posterize", oracle.posterize, lambda a: round(8 - 4 * abs(a))),
        ("solarize", oracle.solarize, lambda a: int(256 * (1 - abs(a)))),
    ],
)
def test_colour_operations_match_torchvision(tensor, name, function, argument, strength, way):
    amount = (strength + 1) / 9 * (1 if way < 0.5 else -1)
    arguments = () if argument is None else (argument(amount),)
    expected = function(tensor, *arguments).permute(1, 2, 0).numpy()
    found = augmented(name, strength, way)
    apart = np.abs(found.astype(int) - expected.astype(int))
    # Some operations round differently: those on histograms, and the conversion to grey.
    assert np.quantile(apart, 0.99) <= 2 and apart.max() <= 4


@pytest.mark.parametrize("way", [0.0, 0.9])
def test_translations_shift_pixels_and_fill_with_grey(way):
    shift = round(150 / 331 * 32)
    for name, axis in (("translate_x", 1), ("translate_y", 0)):
        found = np.moveaxis(augmented(name, way=way), axis, 0)
        image = np.moveaxis(IMAGE, axis, 0)
        if way > 0.5:
            found, image = found[::-1], image[::-1]
        assert np.array_equal(found[: 32 - shift - 1], image[shift:-1][: 32 - shift - 1])
        assert (found[-shift + 1 :] == 128).all()


@pytest.mark.parametrize(
    ("name", "matrix"), [("shear_x", (1, 0.3, 0, 0, 1, 0)), ("shear_y", (1, 0, 0, 0.3, 1, 0))]
)
def test_shears_match_pillows_affine_transform(name, matrix):
    image = Image.fromarray(IMAGE)
    expected = image.transform(
        (32, 32), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=(128,) * 3
    )
    assert np.array_equal(augmented(name), np.asarray(expected))


def test_rotation_ignores_the_sign():
    expected = Image.fromarray(IMAGE).rotate(30, fillcolor=(128,) * 3)
    assert np.array_equal(augmented("rotate"), np.asarray(expected))
    assert np.array_equal(augmented("rotate", way=0.9), np.asarray(expected))


def test_hole_has_a_fixed_size_in_pixels():
    found = augmented("hole")
    assert (found == (125, 122, 113)).all(axis=2).sum() == 20 * 20


def test_operations_are_applied_in_order_and_only_below_one_half():
    one, two = [0, 0.01, 0, 0, 0, 0], [0, 0.3, 0.9, 0, 0, 0]  # invert, posterize
    assert np.array_equal(rand_augment(IMAGE, np.array([[0.5, *one[1:]]])), IMAGE)
    forth = rand_augment(IMAGE, np.array([one, two]))
    back = rand_augment(IMAGE, np.array([two, one]))
    assert not np.array_equal(forth, back)


# Views


def augmented_views(ids=IDS[:12], seed=0, view=0, options=BOTH, threads=1):
    pixels = np.stack([np.roll(IMAGE, int(name.split()[1]), axis=0) for name in ids])
    return ViewSampler(ids, options, seed, threads).augment(pixels, np.arange(len(ids)), view)


@given(st.permutations(range(12)), st.integers(0, 5), st.integers(1, 3))
def test_view_of_an_image_does_not_depend_on_batch_or_threads(order, view, threads):
    shuffled = augmented_views([IDS[i] for i in order], view=view, threads=threads)
    assert np.array_equal(shuffled, augmented_views(view=view)[order])


def test_global_generators_are_neither_used_nor_changed():
    state, numpy_state = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    first = augmented_views()
    assert random.getstate() == state and torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    random.seed(99)
    assert np.array_equal(first, augmented_views())


def test_augmented_views_differ_between_views_and_seeds_and_repeat():
    first = augmented_views()
    assert np.array_equal(first, augmented_views(view=3))
    for other in (augmented_views(view=1), augmented_views(seed=1)):
        assert (first != other).any(axis=(1, 2, 3)).mean() > 0.9


def test_stored_images_are_not_changed():
    pixels = np.stack([IMAGE] * 12)
    pixels.setflags(write=False)
    sampler = ViewSampler(IDS[:12], BOTH, 0)
    assert sampler.augment(pixels, np.arange(12), 0).shape == pixels.shape
    plain = ViewSampler(IDS[:12], AugmentationOptions(), 0)
    assert plain.augment(pixels, np.arange(12), 0) is pixels


def test_draws_are_uniform_and_independent():
    black = np.zeros((600, 40, 40, 3), dtype=np.uint8)
    sampler = ViewSampler(IDS, AugmentationOptions(cutout=0.2, views=2), 0)
    found = [sampler.augment(black, np.arange(600), view) for view in (0, 1)]
    colours = np.stack([f.max(axis=(1, 2)) for f in found]).astype(float)
    assert colours.mean(axis=1) == pytest.approx(127.5, abs=12)
    first, second = colours.reshape(2, -1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    heavy = sampler.boxes(np.arange(600), 0)[:, 2]
    assert abs(np.corrcoef(heavy, colours[0, :, 0])[0, 1]) < 0.15


def test_operations_are_applied_with_probability_one_half(monkeypatch):
    monkeypatch.setattr(pixel_ops, "OPERATIONS", {"invert": OPERATIONS["invert"]})
    sampler = ViewSampler(IDS, AugmentationOptions(rand_augment=2), 0)
    black = np.zeros((600, 2, 2, 3), dtype=np.uint8)
    changed = sampler.augment(black, np.arange(600), 0).all(axis=(1, 2, 3))
    assert changed.mean() == pytest.approx(0.5, abs=0.06)  # one of two, but not both


def test_crops_states_whether_views_can_be_crops():
    assert ViewSampler(IDS, AugmentationOptions(), 0).crops
    whole = AugmentationOptions(min_crop=1, max_aspect=1, flip=False, cutout=0.5)
    assert not ViewSampler(IDS, whole, 0).crops
