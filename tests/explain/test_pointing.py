import numpy as np
import pytest

from mlic.errors import DataError, LabelError
from mlic.explain.class_maps import ClassMaps
from mlic.explain.options import ExplainOptions
from mlic.explain.pointing import peaks, pointing_game, select_masks
from mlic.labels import LabelMatrix, LabelSpace

SIDE = 12


def maps_at(*cells):
    """Maps of 3 × 3 cells with the given strongest cell; None for a missing map."""
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


def test_peak_is_the_centre_of_the_strongest_cell():
    assert peaks(maps_at((0, 0), (2, 1)), SIDE).tolist() == [[2, 2], [10, 6]]
    assert peaks(np.zeros((0, 3, 3), np.float32), SIDE).shape == (0, 2)


@pytest.mark.parametrize(("tolerance", "hit"), [(0, 0), (2, 0), (3, 100)])
def test_distance_within_the_tolerance_is_a_hit(tolerance, hit):
    maps = ClassMaps(["p"], ["cat"], {"student": maps_at((0, 0))})
    game = pointing_game(maps, masks_at((2, 5)), tolerance)
    assert game["student"] == hit
    disc = sum(y * y + x * x <= tolerance**2 for y in range(-2, 10) for x in range(-5, 7))
    assert game["chance"] == pytest.approx(100 * disc / SIDE**2, abs=0.01)


def test_hits_are_averaged_over_labels_and_over_the_teachers_of_a_strategy():
    labels = ["cat", "cat", "cat", "dog", "dog"]
    aim = [(2, 2)] * 4 + [None]  # the last label is noise
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


def test_random_maps_score_at_chance():
    rng = np.random.default_rng(0)
    masks = np.zeros((3000, SIDE, SIDE), dtype=bool)
    for mask, (y, x) in zip(masks, rng.integers(0, SIDE - 4, (3000, 2)), strict=True):
        mask[y : y + 4, x : x + 4] = True
    maps = rng.normal(size=(3000, SIDE, SIDE)).astype(np.float32)
    pairs = [str(i) for i in range(3000)]
    game = pointing_game(ClassMaps(pairs, ["cat", "dog"] * 1500, {"student": maps}), masks, 0)
    assert game["chance"] == pytest.approx(100 * 16 / 144, abs=0.01)
    assert game["student"] == pytest.approx(game["chance"], abs=2)


def test_no_object_gives_no_score():
    maps = ClassMaps(["p"], ["cat"], {"student": maps_at((0, 0))})
    game = pointing_game(maps, masks_at(None), 1)
    assert game["student"] is None and game["chance"] is None and game["pairs"] == 0


def test_another_number_of_masks_is_refused():
    with pytest.raises(DataError) as error:
        pointing_game(ClassMaps(["p"], ["cat"], {}), masks_at(None, None), 1)
    assert error.value.fields == {"expected": 1, "found": 2}


def test_tolerance_is_proportional_to_the_image():
    assert [ExplainOptions().tolerance_pixels(side) for side in (48, 448)] == [1, 13]


class TestSelectMasks:
    LABELS = LabelMatrix(LabelSpace(("cat", "dog")), ["p", "q"], [[1, 1], [0, 1]], ["", ""])
    MASKS = np.array([[[1, 2]], [[0, 2]]], dtype=np.uint8)  # one row of two pixels per image
    PAIRS = ClassMaps(["q", "p", "p"], ["dog", "dog", "cat"], {})

    def test_masks_are_found_by_image_and_label(self):
        expected = [[[0, 1]], [[0, 1]], [[1, 0]]]
        assert select_masks(self.PAIRS, self.LABELS, self.MASKS).tolist() == expected
        reordered = select_masks(self.PAIRS, self.LABELS.take([1, 0]), self.MASKS[::-1])
        assert reordered.tolist() == expected

    def test_masks_of_other_images_are_refused(self):
        with pytest.raises(DataError):
            select_masks(self.PAIRS, self.LABELS, self.MASKS[:1])
        with pytest.raises(DataError):
            select_masks(ClassMaps(["x"], ["dog"], {}), self.LABELS, self.MASKS)

    def test_unknown_labels_are_refused(self):
        with pytest.raises(LabelError, match="'cow'"):
            select_masks(ClassMaps(["p"], ["cow"], {}), self.LABELS, self.MASKS)
