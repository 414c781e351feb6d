"""Class maps and the pointing game, from the nodes to the page."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from mlic.errors import DataError, LabelError
from mlic.explain.class_maps import ClassMaps
from mlic.explain.options import ExplainOptions
from mlic.images.options import SyntheticOptions
from mlic.images.records import ImageRecords
from mlic.images.store import ImageStore
from mlic.images.synthetic.scenes import draw_scenes
from mlic.pipelines.reporting import create_pipeline
from mlic.report.cards import SIDE
from mlic.report.explain import draw_class_maps, play_pointing_game
from mlic.report.maps import overlay

SCENES = SyntheticOptions(num_images=12, size=32, label_noise=0)


def map_of(*cell, side=4):
    values = np.full((side, side), -1, dtype=np.float32)
    values[cell] = 2
    return values


def maps_that_find(masks, pairs, space):
    """Maps with a cell a pixel, strongest on the thing."""
    named = {name: code for code, name in enumerate(space.names, 1)}
    return np.stack([masks[row] == named[label] for row, label in pairs]).astype(np.float32)


@pytest.fixture(scope="module")
def scenes():
    raw, masks = draw_scenes(SCENES, seed=3)
    holders, columns = np.nonzero(raw.labels.states == 1)
    names = np.asarray(raw.labels.space.names)[columns]
    found = maps_that_find(masks, zip(holders, names, strict=True), raw.labels.space)
    maps = ClassMaps(raw.labels.ids[holders], names, {"baseline": 0 * found, "student": found})
    return raw, masks, maps


def turned(raw):
    """The same scenes in another order of images."""
    labels = raw.labels.take(np.arange(len(raw))[::-1])
    return ImageRecords(labels, list(raw.sources)[::-1])


def test_masks_are_found_by_id_and_by_name_of_the_label(scenes):
    raw, masks, maps = scenes
    game = play_pointing_game(maps, raw, {"masks": masks}, ExplainOptions(tolerance=0))
    again = play_pointing_game(maps, turned(raw), {"masks": masks[::-1]}, ExplainOptions())
    assert game["student"] == again["student"] == 100 and game["pairs"] == len(maps)
    corner = play_pointing_game(maps, turned(raw), {"masks": masks}, ExplainOptions())
    assert corner["student"] < 90, "masks of other images"


def test_masks_of_other_images_or_labels_are_refused(scenes):
    raw, masks, maps = scenes
    with pytest.raises(DataError, match="not of the same images"):
        play_pointing_game(maps, raw, {"masks": masks[:5]}, ExplainOptions())
    strangers = ClassMaps(np.char.add(maps.ids, "x"), maps.labels, maps.maps)
    with pytest.raises(DataError, match="not of the same images"):
        play_pointing_game(strangers, raw, {"masks": masks}, ExplainOptions())
    fewer = raw.labels.with_labels([0, 1])
    with pytest.raises(LabelError, match="not in the class list"):
        play_pointing_game(
            maps, ImageRecords(fewer, raw.sources), {"masks": masks}, ExplainOptions()
        )


def test_the_game_is_played_where_masks_are():
    with_masks, without = create_pipeline(masks=True), create_pipeline()
    assert {"synthetic_masks", "synthetic_images"} <= with_masks.inputs()
    assert not {"synthetic_masks", "synthetic_images"} & without.inputs()
    assert with_masks.all_outputs() - without.all_outputs() == {"pointing_game"}


def test_the_overlay_is_brightest_where_the_map_is_strongest():
    grey = np.full((32, 32, 3), 120, dtype=np.uint8)
    shown = np.asarray(overlay(grey, map_of(0, 3)).convert("L")).astype(int)
    assert shown.shape == (SIDE, SIDE)
    line, column = np.unravel_index(shown.argmax(), shown.shape)
    assert line < SIDE / 4 and column >= 3 * SIDE / 4
    nothing = np.asarray(overlay(grey, -np.abs(map_of(0, 3))))
    assert (nothing == nothing[0, 0]).all(), "no evidence is one colour"


def size_of(source):
    head, _, data = source.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True))).size


def example():
    images = ImageStore.from_arrays(
        ["p<1>", "q"], np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    )
    values = np.stack([map_of(0, 0), map_of(1, 3), -np.abs(map_of(2, 2))])
    partly = values.copy()
    partly[0] = np.nan
    maps = {"baseline": values, "teachers.cgp_1": partly, "student": values}
    return ClassMaps(["q", "p<1>", "q"], ["R&D", "R&D", "cow"], maps), images


def test_each_example_is_a_row_of_images_with_words():
    rows = draw_class_maps(*example(), ExplainOptions(examples=2))
    assert [row["label"] for row in rows] == ["R&D", "cow"]
    assert [[image["told"] for image in row["images"]] for row in rows] == [
        [
            "Image q",
            "Map of baseline for 'R&D' in image q: strongest 12 % across and 12 % down",
            "Map of student for 'R&D' in image q: strongest 12 % across and 12 % down",
        ],
        [
            "Image q",
            *(
                f"Map of {model} for 'cow' in image q: no evidence for it"
                for model in ("baseline", "teacher cgp_1", "student")
            ),
        ],
    ]
    sizes = {size_of(image["source"]) for row in rows for image in row["images"]}
    assert sizes == {(SIDE, SIDE)}


def test_without_maps_or_examples_there_is_no_figure():
    maps, images = example()
    assert draw_class_maps(maps, images, ExplainOptions(examples=0)) == []
    empty = ClassMaps(maps.ids, maps.labels, {})
    assert draw_class_maps(empty, images, ExplainOptions()) == []
