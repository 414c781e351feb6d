import numpy as np
import pytest

from mlic.errors import DataError
from mlic.explain.class_maps import ClassMaps
from mlic.explain.options import ExplainOptions
from mlic.explain.pointing import peaks, pointing_game

SIDE = 12


def maps_at(*cells):
    """Maps of 3 × 3 cells, the strongest of which is given; None for a map that is not there."""
    maps = np.full((len(cells), 3, 3), -1.0, dtype=np.float32)
    for values, cell in zip(maps, cells, strict=True):
        values[cell if cell else slice(None)] = -0.5 if cell else np.nan
    return maps


def masks_at(*pixels):
    masks = np.zeros((len(pixels), SIDE, SIDE), dtype=bool)
    for mask, pixel in zip(masks, pixels, strict=True):
        if pixel:
            mask[pixel] = True
    return masks


def test_the_peak_is_in_the_middle_of_its_cell():
    assert peaks(maps_at((0, 0), (2, 1)), SIDE).tolist() == [[2, 2], [10, 6]]
    assert peaks(np.zeros((0, 3, 3), np.float32), SIDE).shape == (0, 2)


@pytest.mark.parametrize(("tolerance", "hit"), [(0, 0), (2, 0), (3, 100)])
def test_a_miss_within_the_tolerance_hits(tolerance, hit):
    maps = ClassMaps(["p"], ["cat"], {"student": maps_at((0, 0))})
    game = pointing_game(maps, masks_at((2, 5)), tolerance)
    assert game["student"] == hit
    disc = sum(y * y + x * x <= tolerance**2 for y in range(-2, 10) for x in range(-5, 7))
    assert game["chance"] == pytest.approx(100 * disc / SIDE**2, abs=0.01)


def test_hits_are_balanced_over_labels_and_teachers_played_as_one():
    labels = ["cat", "cat", "cat", "dog", "dog"]
    aim = [(2, 2)] * 4 + [None]  # the last label was put there by noise
    models = {
        "baseline": maps_at((0, 0), (0, 0), (1, 1), (0, 0), (0, 0)),
        "teachers.cgp_0": maps_at((0, 0), (1, 1), (1, 1), None, None),
        "teachers.cgp_1": maps_at(None, None, None, (2, 2), (0, 0)),
        "teachers.user_0": maps_at(None, None, None, None, (0, 0)),
    }
    game = pointing_game(ClassMaps(list("pqrpq"), labels, models), masks_at(*aim), 0)
    assert game["baseline"] == pytest.approx(100 * (2 / 3 + 1) / 2, abs=0.01)
    assert game["teachers"] == {"cgp": pytest.approx(100 * (1 / 3 + 0) / 2, abs=0.01), "user": None}
    assert (game["pairs"], game["images"]) == (4, 3)


def test_random_maps_hit_as_often_as_chance():
    rng = np.random.default_rng(0)
    masks = np.zeros((3000, SIDE, SIDE), dtype=bool)
    for mask, (y, x) in zip(masks, rng.integers(0, SIDE - 4, (3000, 2)), strict=True):
        mask[y : y + 4, x : x + 4] = True
    maps = rng.normal(size=(3000, SIDE, SIDE)).astype(np.float32)
    pairs = [str(i) for i in range(3000)]
    game = pointing_game(ClassMaps(pairs, ["cat", "dog"] * 1500, {"student": maps}), masks, 0)
    assert game["chance"] == pytest.approx(100 * 16 / 144, abs=0.01)
    assert game["student"] == pytest.approx(game["chance"], abs=2)


def test_nothing_to_point_at_is_no_score():
    maps = ClassMaps(["p"], ["cat"], {"student": maps_at((0, 0))})
    game = pointing_game(maps, masks_at(None), 1)
    assert game["student"] is None and game["chance"] is None and game["pairs"] == 0


def test_masks_of_other_pairs_are_refused():
    with pytest.raises(DataError, match="2 masks do not fit 1"):
        pointing_game(ClassMaps(["p"], ["cat"], {}), masks_at(None, None), 1)


def test_the_tolerance_grows_with_the_image():
    assert [ExplainOptions().tolerance_pixels(side) for side in (48, 448)] == [1, 13]
