"""Cutout and RandAugment: told by numbers, nothing drawn."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional as oracle

from mlic.images import perturbation
from mlic.images.augmentation import ViewSampler
from mlic.images.options import AugmentationOptions
from mlic.images.perturbation import OPERATIONS, cut_out, rand_augment

IDS = [f"image {i}" for i in range(600)]
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
CALM = AugmentationOptions(views=3, cutout=0.5, rand_augment=2)
unit = st.floats(0, 1, exclude_max=True)


def augmented(name, strength=8, way=0.0, image=IMAGE, place=(0.5, 0.5)):
    """One operation of a strength from 0 to 8."""
    which = (list(OPERATIONS).index(name) + 0.5) / len(OPERATIONS)
    return rand_augment(image, np.array([[0, which, (strength + 0.5) / 9, way, *place]]))


# Cutout


@given(unit, unit, st.floats(0.1, 1))
def test_a_box_of_one_colour_is_all_that_changes(row, column, share):
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


def test_a_box_in_the_middle_is_whole():
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
def test_colours_are_torchvisions(tensor, name, function, argument, strength, way):
    amount = (strength + 1) / 9 * (1 if way < 0.5 else -1)
    arguments = () if argument is None else (argument(amount),)
    expected = function(tensor, *arguments).permute(1, 2, 0).numpy()
    found = augmented(name, strength, way)
    apart = np.abs(found.astype(int) - expected.astype(int))
    # histogram methods round otherwise here and there; greys too
    assert np.quantile(apart, 0.99) <= 2 and apart.max() <= 4


@pytest.mark.parametrize("way", [0.0, 0.9])
def test_translations_move_and_leave_grey(way):
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
def test_shears_are_affine(name, matrix):
    image = Image.fromarray(IMAGE)
    expected = image.transform(
        (32, 32), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=(128,) * 3
    )
    assert np.array_equal(augmented(name), np.asarray(expected))


def test_rotation_turns_one_way_only():
    expected = Image.fromarray(IMAGE).rotate(30, fillcolor=(128,) * 3)
    assert np.array_equal(augmented("rotate"), np.asarray(expected))
    assert np.array_equal(augmented("rotate", way=0.9), np.asarray(expected))


def test_a_hole_has_its_size_in_pixels():
    found = augmented("hole")
    assert (found == (125, 122, 113)).all(axis=2).sum() == 20 * 20


def test_half_of_the_operations_are_left_out_and_order_counts():
    one, two = [0, 0.01, 0, 0, 0, 0], [0, 0.3, 0.9, 0, 0, 0]  # invert, posterize
    assert np.array_equal(rand_augment(IMAGE, np.array([[0.5, *one[1:]]])), IMAGE)
    forth = rand_augment(IMAGE, np.array([one, two]))
    back = rand_augment(IMAGE, np.array([two, one]))
    assert not np.array_equal(forth, back)


# Of a view maker


def perturbed(ids=IDS[:12], seed=0, view=0, options=CALM, threads=1):
    pixels = np.stack([np.roll(IMAGE, int(name.split()[1]), axis=0) for name in ids])
    return ViewSampler(ids, options, seed, threads).perturb(pixels, np.arange(len(ids)), view)


@given(st.permutations(range(12)), st.integers(0, 5), st.integers(1, 3))
def test_a_view_belongs_to_its_image_whatever_the_batch(order, view, threads):
    shuffled = perturbed([IDS[i] for i in order], view=view, threads=threads)
    assert np.array_equal(shuffled, perturbed(view=view)[order])


def test_no_global_generator_is_used():
    state, numpy_state = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    first = perturbed()
    assert random.getstate() == state and torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    random.seed(99)
    assert np.array_equal(first, perturbed())


def test_views_and_seeds_differ_and_views_repeat():
    first = perturbed()
    assert np.array_equal(first, perturbed(view=3))
    for other in (perturbed(view=1), perturbed(seed=1)):
        assert (first != other).any(axis=(1, 2, 3)).mean() > 0.9


def test_the_stored_images_stay_as_they_are():
    pixels = np.stack([IMAGE] * 12)
    pixels.setflags(write=False)
    maker = ViewSampler(IDS[:12], CALM, 0)
    assert maker.perturb(pixels, np.arange(12), 0).shape == pixels.shape
    plain = ViewSampler(IDS[:12], AugmentationOptions(), 0)
    assert plain.perturb(pixels, np.arange(12), 0) is pixels


def test_the_draws_are_uniform_and_independent():
    black = np.zeros((600, 40, 40, 3), dtype=np.uint8)
    maker = ViewSampler(IDS, AugmentationOptions(cutout=0.2, views=2), 0)
    found = [maker.perturb(black, np.arange(600), view) for view in (0, 1)]
    colours = np.stack([f.max(axis=(1, 2)) for f in found]).astype(float)
    assert colours.mean(axis=1) == pytest.approx(127.5, abs=12)
    first, second = colours.reshape(2, -1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
    heavy = maker.boxes(np.arange(600), 0)[:, 2]
    assert abs(np.corrcoef(heavy, colours[0, :, 0])[0, 1]) < 0.15


def test_half_of_the_operations_are_applied(monkeypatch):
    monkeypatch.setattr(perturbation, "OPERATIONS", {"invert": OPERATIONS["invert"]})
    maker = ViewSampler(IDS, AugmentationOptions(rand_augment=2), 0)
    black = np.zeros((600, 2, 2, 3), dtype=np.uint8)
    changed = maker.perturb(black, np.arange(600), 0).all(axis=(1, 2, 3))
    assert changed.mean() == pytest.approx(0.5, abs=0.06)  # one of two, but not both


def test_crops_are_told():
    assert ViewSampler(IDS, AugmentationOptions(), 0).crops
    whole = AugmentationOptions(min_crop=1, max_aspect=1, flip=False, cutout=0.5)
    assert not ViewSampler(IDS, whole, 0).crops
