import base64
import io

import numpy as np
import pytest
from PIL import Image

from mlic.explain.class_maps import ClassMaps
from mlic.images.thumbnails import SIDE
from mlic.report.class_map_images import overlay, render_maps


def map_of(*cell, side=4):
    """A map with positive evidence in one cell only."""
    values = np.full((side, side), -1, dtype=np.float32)
    values[cell] = 2
    return values


NO_EVIDENCE = -np.abs(map_of(2, 2))


@pytest.fixture
def class_maps():
    values = np.stack([map_of(0, 0), map_of(1, 3), NO_EVIDENCE])
    partly = values.copy()
    partly[0] = np.nan
    maps = {"student": values, "baseline": values, "teachers.cgp_1": partly}
    return ClassMaps(["q", "p<1>", "q"], ["R&D", "R&D", "cow"], maps)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def size_of(source):
    head, _, data = source.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True))).size


def test_overlay_is_brightest_where_the_map_is_strongest():
    grey = np.full((32, 32, 3), 120, dtype=np.uint8)
    shown = np.asarray(overlay(grey, map_of(0, 3)).convert("L")).astype(int)
    assert shown.shape == (SIDE, SIDE)
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert row < SIDE / 4 and column >= 3 * SIDE / 4


def test_overlay_without_evidence_has_one_colour():
    nothing = np.asarray(overlay(np.full((32, 32, 3), 120, dtype=np.uint8), NO_EVIDENCE))
    assert (nothing == nothing[0, 0]).all()


def test_each_pair_is_a_row_of_described_images(class_maps, pixels):
    rows = render_maps(class_maps, [0, 2], pixels)
    assert [row["label"] for row in rows] == ["R&D", "cow"]
    titles = [[image["title"] for image in row["images"]] for row in rows]
    assert titles == [
        ["image", "baseline", "student"],
        ["image", "baseline", "teacher cgp_1", "student"],
    ]
    first, second = ([image["description"] for image in row["images"]] for row in rows)
    assert "12 % from the left, 12 % from the top" in first[1]
    assert all("no evidence" in description for description in second[1:])
    assert {size_of(image["source"]) for row in rows for image in row["images"]} == {(SIDE, SIDE)}


def test_without_pairs_or_maps_there_is_no_row(class_maps, pixels):
    assert render_maps(class_maps, [], pixels[:0]) == []
    assert render_maps(ClassMaps(class_maps.ids, class_maps.labels, {}), [0], pixels) == []
