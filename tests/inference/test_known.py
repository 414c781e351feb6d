"""Known labels: what they change, and what is wrong with a table of them."""

import numpy as np
import pytest
import torch

import mlic
from mlic.errors import DataError, LabelError
from mlic.inference.known import read_known
from mlic.labels import LabelSpace

SPACE = LabelSpace(("red", "green", "blue"))


@pytest.fixture
def model(model_file):
    return mlic.load_model(model_file, device="cpu")


@pytest.fixture
def refined(checkpoint):
    """A model whose refiner has an influence that does not depend on the tiny training."""
    calibration = checkpoint.calibration
    assert calibration.refiner is not None
    strong = calibration.refiner.model_copy(update={"present": 0.7, "absent": 0.3})
    changed = calibration.model_copy(update={"refiner": strong})
    return mlic.TrainedModel(checkpoint.with_calibration(changed), "cpu")


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "known.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_known_labels_are_predicted_as_they_are(refined, images):
    table = refined.predict(images.pixels[:6], known={"red": True, "blue": False})
    assert (table["red"] == 1).all() and (table["blue"] == 0).all()
    assert all("red" in cell and "blue" not in cell for cell in table["predicted"])


def test_a_known_label_changes_the_others_and_nothing_else_does(refined, images):
    pixels = images.pixels[:6]
    plain = refined.probabilities(pixels)
    nothing = refined.probabilities(pixels, known=np.full((6, 4), -1))
    np.testing.assert_array_equal(plain, nothing)
    known = np.full((6, 4), -1)
    known[2, 0] = 1
    found = refined.probabilities(pixels, known=known)
    rest = np.arange(6) != 2
    np.testing.assert_array_equal(found[rest], plain[rest])
    assert (found[2, 1:] != plain[2, 1:]).all()


def test_refined_log_odds_are_those_of_the_formula(refined, images):
    pixels, refiner = images.pixels[:6], refined.calibration.refiner
    known = np.array([[1, 0, -1, -1]] * 6)
    plain = refined.probabilities(pixels).astype(float)
    found = refined.probabilities(pixels, known=known).astype(float)
    for column in (2, 3):
        odds = np.log(plain[:, column] / (1 - plain[:, column]))
        odds += 0.7 * refiner.influence[column, 0] * (1 - plain[:, 0])
        odds -= 0.3 * refiner.influence[column, 1] * plain[:, 1]
        np.testing.assert_allclose(found[:, column], 1 / (1 + np.exp(-odds)), atol=1e-5)


def test_torch_module_gives_the_same_as_numpy(refined):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (50, 4)).astype(np.float32)
    known = rng.integers(-1, 2, (50, 4))
    expected = refined.calibration.probabilities(logits, known)
    module = refined.calibration.module()
    found = module(torch.from_numpy(logits), torch.from_numpy(known))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_intervention_is_the_difference_of_two_predictions(refined, images):
    pixels = images.pixels[:6]
    found = refined.intervene(pixels, {"red": True}, known={"blue": False})
    after = refined.probabilities(pixels, known={"red": True, "blue": False})
    before = refined.probabilities(pixels, known={"blue": False})
    np.testing.assert_allclose(found.to_numpy(), after - before)
    assert found.columns.tolist() == list(refined.labels)


def test_table_names_images_by_whole_paths_or_their_ends(write):
    table = read_known(write("image,present,absent\na.png,red; blue,\nx/b.png,,green\n"))
    names = ["/photos/a.png", "/photos/x/b.png", "/photos/y/b.png"]
    table.require_fit(names, SPACE)
    found = table.rows(names, SPACE)
    assert found.tolist() == [[1, -1, 1], [-1, 0, -1], [-1, -1, -1]]
    assert table.rows(["/photos/c.png"], SPACE) is None


@pytest.mark.parametrize(
    ("text", "error", "field"),
    [
        ("image,present,absent\na.png,red,red\n", LabelError, {"label": "red", "image": "a.png"}),
        ("image,present\na.png,red\na.png,blue\n", DataError, {"image": "a.png"}),
        ("file,present\na.png,red\n", DataError, {"found": ["file", "present"]}),
        ("", DataError, {}),
    ],
)
def test_contradictions_are_one_error(write, text, error, field):
    with pytest.raises(error) as caught:
        read_known(write(text))
    assert caught.value.fields.items() >= field.items()


def test_missing_table_is_one_error(tmp_path):
    with pytest.raises(DataError):
        read_known(tmp_path / "none.csv")


def test_rows_that_fit_no_image_or_several_are_one_error(write):
    names = ["/p/x/a.png", "/p/y/a.png"]
    for image in ("b.png", "a.png"):
        table = read_known(write(f"image,present\n{image},red\n"))
        with pytest.raises(DataError) as caught:
            table.require_fit(names, SPACE)
        assert caught.value.fields["image"] == image


def test_label_of_the_table_that_the_model_does_not_have(write):
    table = read_known(write("image,present\na.png,violet\n"))
    with pytest.raises(LabelError):
        table.require_fit(["a.png"], SPACE)
