"""Preprocessing, compared with slices of the pixels and with Pillow."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlic.images.preprocess import preprocess_views, preprocess_whole

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
WHOLE = [0.0, 0.0, 1.0, 1.0, 0.0]


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)


def normalised(pixels):
    planes = pixels.permute(0, 3, 1, 2).double() / 255
    return (planes - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def views(pixels, box, size=16):
    return preprocess_views(pixels, torch.tensor([box] * len(pixels)), size, MEAN, STD)


def same(found, expected):
    torch.testing.assert_close(found.double(), expected.double(), atol=2e-4, rtol=0)


def test_whole_images_are_only_normalised(pixels):
    found = preprocess_whole(pixels, 16, MEAN, STD)
    same(found, normalised(pixels))
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_box_of_the_whole_image_only_normalises(pixels):
    found = views(pixels, WHOLE)
    same(found, preprocess_whole(pixels, 16, MEAN, STD))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_flip_mirrors_the_image(pixels):
    same(views(pixels, [0, 0, 1, 1, 1.0]), normalised(pixels).flip(3))


def test_crops_of_whole_pixels_are_slices(pixels):
    planes = normalised(pixels)
    same(views(pixels, [0, 0, 0.5, 1, 0.0], 8)[:, :, ::1], half_rows(planes[:, :, :, :8]))
    quarter = views(pixels, [0.5, 0.25, 0.5, 0.5, 0.0], 8)
    same(quarter, planes[:, :, 4:12, 8:])
    same(views(pixels, [0.5, 0.25, 0.5, 0.5, 1.0], 8), planes[:, :, 4:12, 8:].flip(3))


def half_rows(planes):
    """Average rows by triangles of weights 1, 3, 3, 1, which are cut off at the border."""
    rows = []
    for middle in range(1, 16, 2):
        taps = {middle - 2: 1, middle - 1: 3, middle: 3, middle + 1: 1}
        taps = {row: weight for row, weight in taps.items() if 0 <= row < 16}
        weighted = sum(w * planes[:, :, r] for r, w in taps.items())
        rows.append(weighted / sum(taps.values()))
    return torch.stack(rows, dim=2)


def test_every_image_has_its_own_box(pixels):
    boxes = torch.tensor([WHOLE, [0, 0, 1, 1, 1.0], WHOLE])
    found = preprocess_views(pixels, boxes, 16, MEAN, STD)
    planes = normalised(pixels)
    same(found, torch.stack([planes[0], planes[1].flip(2), planes[2]]))


def test_white_stays_white_at_the_edges():
    white = torch.full((1, 16, 16, 3), 255, dtype=torch.uint8)
    for size in (16, 40):
        found = preprocess_views(white, torch.tensor([WHOLE]), size, (0, 0, 0), (1, 1, 1))
        torch.testing.assert_close(found, torch.ones(1, 3, size, size))


def test_resizing_matches_pillow(pixels):
    found = preprocess_whole(pixels, 8, (0, 0, 0), (1 / 255,) * 3)[0].permute(1, 2, 0)
    image = Image.fromarray(pixels[0].numpy()).resize((8, 8), Image.Resampling.BILINEAR)
    expected = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(8, 8, 3)
    torch.testing.assert_close(found, expected.float(), atol=1.0, rtol=0)


@given(st.integers(9, 24), st.integers(5, 8), st.tuples(*[st.floats(0, 1)] * 4), st.booleans())
def test_reduced_crops_match_pillow(store, size, draws, flip):
    """Pillow rounds to integers twice."""
    generator = torch.Generator().manual_seed(store)
    pixels = torch.randint(0, 256, (1, store, store, 3), dtype=torch.uint8, generator=generator)
    width, height = (0.5 + 0.5 * draw for draw in draws[:2])
    left, top = draws[2] * (1 - width), draws[3] * (1 - height)
    box = torch.tensor([[left, top, width, height, float(flip)]])
    found = preprocess_views(pixels, box, size, (0, 0, 0), (1 / 255,) * 3)[0].permute(1, 2, 0)
    edges = [store * edge for edge in (left, top, left + width, top + height)]
    edges = [min(edge, store) for edge in edges]
    image = Image.fromarray(pixels[0].numpy())
    shrunk = image.resize((size, size), Image.Resampling.BILINEAR, box=tuple(edges))
    expected = torch.frombuffer(bytearray(shrunk.tobytes()), dtype=torch.uint8)
    expected = expected.view(size, size, 3).float()
    torch.testing.assert_close(found, expected.flip(1) if flip else expected, atol=1.5, rtol=0)


def test_reducing_does_not_alias():
    """Stripes of one pixel become grey in a view and in the whole image."""
    stripes = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    view = preprocess_views(stripes, torch.tensor([WHOLE]), 20, (0, 0, 0), (1, 1, 1))
    whole = preprocess_whole(stripes, 20, (0, 0, 0), (1, 1, 1))
    assert (view - 0.5).abs().max() < 0.1
    torch.testing.assert_close(view, whole, atol=1e-5, rtol=0)


def test_autocast_does_not_change_pixels(pixels):
    plain = views(pixels, [0.1, 0.2, 0.8, 0.8, 0.0], 8)
    with torch.autocast("cpu", torch.bfloat16):
        around = views(pixels, [0.1, 0.2, 0.8, 0.8, 0.0], 8)
    torch.testing.assert_close(around, plain, atol=0, rtol=0)
