"""Rendering against slices of the pixels themselves."""

import pytest
import torch
from PIL import Image

from mlic.images.render import render_views, render_whole

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
WHOLE = [0.0, 0.0, 1.0, 1.0, 0.0]


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)


def normalised(pixels):
    planes = pixels.permute(0, 3, 1, 2).double() / 255
    return (planes - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def views(pixels, box, size=16):
    return render_views(pixels, torch.tensor([box] * len(pixels)), size, MEAN, STD)


def same(found, expected):
    torch.testing.assert_close(found.double(), expected.double(), atol=2e-4, rtol=0)


def test_whole_pictures_are_only_normalised(pixels):
    found = render_whole(pixels, 16, MEAN, STD)
    same(found, normalised(pixels))
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_the_identity_box_is_the_whole_picture(pixels):
    found = views(pixels, WHOLE)
    same(found, render_whole(pixels, 16, MEAN, STD))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_flip_mirrors(pixels):
    same(views(pixels, [0, 0, 1, 1, 1.0]), normalised(pixels).flip(3))


def test_crops_are_slices(pixels):
    planes = normalised(pixels)
    same(views(pixels, [0, 0, 0.5, 1, 0.0], 8)[:, :, ::1], half_rows(planes[:, :, :, :8]))
    quarter = views(pixels, [0.5, 0.25, 0.5, 0.5, 0.0], 8)
    same(quarter, planes[:, :, 4:12, 8:])
    same(views(pixels, [0.5, 0.25, 0.5, 0.5, 1.0], 8), planes[:, :, 4:12, 8:].flip(3))


def half_rows(planes):
    """Between two rows lies their mean."""
    return (planes[:, :, ::2] + planes[:, :, 1::2]) / 2


def test_every_picture_has_its_own_box(pixels):
    boxes = torch.tensor([WHOLE, [0, 0, 1, 1, 1.0], WHOLE])
    found = render_views(pixels, boxes, 16, MEAN, STD)
    planes = normalised(pixels)
    same(found, torch.stack([planes[0], planes[1].flip(2), planes[2]]))


def test_nothing_dark_comes_in_at_the_edge():
    white = torch.full((1, 16, 16, 3), 255, dtype=torch.uint8)
    for size in (16, 40):
        found = render_views(white, torch.tensor([WHOLE]), size, (0, 0, 0), (1, 1, 1))
        torch.testing.assert_close(found, torch.ones(1, 3, size, size))


def test_resizing_is_pillows(pixels):
    found = render_whole(pixels, 8, (0, 0, 0), (1 / 255,) * 3)[0].permute(1, 2, 0)
    picture = Image.fromarray(pixels[0].numpy()).resize((8, 8), Image.Resampling.BILINEAR)
    expected = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(8, 8, 3)
    torch.testing.assert_close(found, expected.float(), atol=1.0, rtol=0)
