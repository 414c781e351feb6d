"""A trained model predicts what the pipelines predict, whatever form an image has."""

import io

import numpy as np
import pytest
from PIL import Image

import mlic
from mlic.errors import DataError, LabelError, ParameterError
from mlic.inference.decoding import decode_batches
from mlic.models.heads.linear import LinearHead
from mlic.training.predict import predict_checkpoint


@pytest.fixture
def model(model_file):
    return mlic.load_model(model_file, device="cpu")


@pytest.fixture
def files(images, tmp_path):
    """Ten images as PNG files, which lose nothing."""
    paths = [tmp_path / f"{name}.png" for name in images.ids[:10]]
    for path, pixels in zip(paths, images.pixels, strict=False):
        Image.fromarray(pixels).save(path)
    return paths


def test_logits_are_those_of_the_pipelines(model, files, images, settings):
    expected = predict_checkpoint(model.checkpoint, images, np.arange(10), settings["training"])
    np.testing.assert_allclose(model.logits(files, batch_size=4), expected, atol=1e-5)


def test_every_form_of_an_image_gives_the_same(model, files, images):
    expected = model.probabilities(files)
    opened = [Image.open(path) for path in files]
    forms = {
        "texts": [str(path) for path in files],
        "bytes": [path.read_bytes() for path in files],
        "Pillow": opened,
        "arrays": list(images.pixels[:10]),
        "one array": images.pixels[:10],
    }
    for name, sources in forms.items():
        np.testing.assert_array_equal(model.probabilities(sources), expected, err_msg=name)
    np.testing.assert_allclose(model.probabilities(files[3]), expected[3:4], rtol=1e-5)


def test_image_of_another_size_is_resized_as_in_the_pipelines(model):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    np.testing.assert_array_equal(model.logits(pixels), model.logits(file.getvalue()))


def test_table_has_the_predicted_labels_and_all_probabilities(model, files):
    table = model.predict(files)
    assert table.columns.tolist() == ["image", "predicted", *model.labels]
    assert table["image"].tolist() == [str(path) for path in files]
    for row in table.to_dict("records"):
        above = {name for name in model.labels if row[name] >= model.thresholds[name]}
        shown = [name for name in row["predicted"].split("; ") if name]
        assert set(shown) == above
        assert sorted(shown, key=lambda name: -row[name]) == shown


def test_no_image_gives_an_empty_table(model):
    assert len(model.predict([])) == 0


def test_explanation_is_a_map_of_the_label(model, files):
    found = model.explain(files[0], "red")
    assert found.ndim == 2 and min(found.shape) >= 7
    assert not np.allclose(found, model.explain(files[0], "green"))
    with pytest.raises(LabelError):
        model.explain(files[0], "violet")


@pytest.mark.parametrize("call", [lambda m, f: m.predict(f), lambda m, f: m.explain(f, "red")])
def test_unreadable_image_is_an_error_with_its_path(model, tmp_path, call):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError) as raised:
        call(model, broken)
    assert raised.value.fields["path"] == broken


def test_array_of_another_type_is_refused(model):
    with pytest.raises(DataError):
        model.predict(np.zeros((8, 8, 3), np.float32))


def test_known_labels_are_refused_without_a_head_or_a_refiner_that_uses_them(model, files):
    plain = model.calibration.model_copy(update={"refiner": None})
    model = mlic.TrainedModel(model.checkpoint.with_calibration(plain), "cpu")
    with pytest.raises(ParameterError) as raised:
        model.predict(files, known={"red": True})
    assert raised.value.fields["parameter"] == "known"


def test_known_labels_reach_a_head_that_uses_them(model, files, monkeypatch):
    monkeypatch.setattr(LinearHead, "uses_known", True)
    seen = []
    own = LinearHead.forward
    monkeypatch.setattr(
        LinearHead, "forward", lambda self, x, known=None: (seen.append(known), own(self, x))[1]
    )
    model.predict(files, known={"green": False})
    assert seen[0][:, 1].tolist() == [0] * 10 and (seen[0][:, [0, 2, 3]] == -1).all()
    with pytest.raises(LabelError):
        model.predict(files, known={"violet": True})
    with pytest.raises(LabelError):
        model.predict(files, known=np.zeros((3, 4), np.int8))


def test_batches_are_in_order_and_name_what_is_unreadable(files):
    sources = [*files[:3], b"no image", *files[3:5]]
    found = list(decode_batches(iter(sources), 16, 4, workers=3))
    assert [len(pixels) for pixels, _ in found] == [4, 2]
    assert [reason is not None for _, reasons in found for reason in reasons] == [
        False, False, False, True, False, False,
    ]  # fmt: skip
    expected = np.asarray(Image.open(files[4]).resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found[1][0][1], expected)
