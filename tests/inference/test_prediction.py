"""Prediction into files: whole, in order, and continued where it was stopped."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mlic
from mlic.inference import prediction
from mlic.inference.listing import list_images
from mlic.inference.prediction import predict_to_files


@pytest.fixture
def model(model_file):
    return mlic.load_model(model_file, device="cpu")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Twenty-two images and one unreadable file, in chunks of eight."""
    monkeypatch.setattr(prediction, "CHUNK", 8)
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(22):
        pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "05_broken.jpg").write_bytes(b"no image")
    return folder


def test_files_hold_what_the_model_predicts(model, photos, tmp_path):
    summary = predict_to_files(model, list_images(photos), tmp_path / "out", batch_size=4)
    table = pd.read_parquet(tmp_path / "out/predictions.parquet")
    files = sorted(str(path) for path in photos.glob("*.png"))
    expected = model.predict(files, batch_size=4)
    assert table["image"].tolist() == files
    np.testing.assert_allclose(table[list(model.labels)], expected[list(model.labels)], atol=1e-6)
    assert table["predicted"].tolist() == expected["predicted"].tolist()
    text = pd.read_csv(tmp_path / "out/predictions.csv", keep_default_na=False)
    np.testing.assert_allclose(text[list(model.labels)], table[list(model.labels)], rtol=1e-6)
    assert text["predicted"].tolist() == table["predicted"].tolist()
    quarantine = pd.read_csv(tmp_path / "out/quarantine.csv")
    assert quarantine["image"].tolist() == [str(photos / "05_broken.jpg")]
    assert (summary["images"], summary["quarantined"]) == (23, 1)
    marks = table["predicted"].str.split("; ").explode().value_counts()
    assert summary["labels"] == {name: marks.get(name, 0) for name in model.labels}


def test_most_doubtful_images_are_those_with_the_most_expected_errors(
    model, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(prediction, "SHOWN", 5)
    summary = predict_to_files(model, list_images(photos), tmp_path / "out", batch_size=4)
    files = sorted(str(path) for path in photos.glob("*.png"))
    probabilities = model.probabilities(files)
    errors = np.where(model.calibration.decide(probabilities), 1 - probabilities, probabilities)
    order = np.argsort(-errors.sum(axis=1), kind="stable")[:5]
    assert [one["image"] for one in summary["doubtful"]] == [files[i] for i in order]
    assert summary["doubtful"][0]["source"].startswith("data:image/jpeg")


def test_image_that_is_named_many_times_is_kept_a_bounded_number_of_times(
    model, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(prediction, "SHOWN", 5)
    listed = tmp_path / "list.csv"
    listed.write_text("path\n" + "photos/00.png\n" * 40)
    written = []
    own = prediction._write_chunk
    monkeypatch.setattr(
        prediction,
        "_write_chunk",
        lambda model, chunk, path: (written.append(len(chunk.doubtful)), own(model, chunk, path)),
    )
    summary = predict_to_files(model, list_images(listed), tmp_path / "out", batch_size=4)
    assert len(summary["doubtful"]) == 5 and summary["images"] == 40
    assert sum(written) == 5  # equal images do not displace each other


class Stopped(Exception):
    """An interrupt in the middle of the work."""


def test_interrupted_prediction_continues_after_its_chunks(model, photos, tmp_path, monkeypatch):
    whole = predict_to_files(model, list_images(photos), tmp_path / "whole", batch_size=4)
    computed, own = [], model.compute_logits

    def compute(pixels, known):
        if len(computed) == 3:
            raise Stopped
        computed.append(len(pixels))
        return own(pixels)

    monkeypatch.setattr(model, "compute_logits", compute)
    with pytest.raises(Stopped):
        predict_to_files(model, list_images(photos), tmp_path / "out", batch_size=4)
    assert not (tmp_path / "out/predictions.parquet").exists()
    seen = []
    monkeypatch.setattr(
        model, "compute_logits", lambda pixels, known: (seen.append(len(pixels)), own(pixels))[1]
    )
    again = predict_to_files(model, list_images(photos), tmp_path / "out", batch_size=4)
    assert sum(seen) == 22 - 7  # the first chunk, one of whose images is unreadable, was kept
    assert again == whole
    for name in ("predictions.parquet", "predictions.csv", "quarantine.csv"):
        kept, fresh = (tmp_path / folder / name for folder in ("out", "whole"))
        assert kept.read_bytes() == fresh.read_bytes()


def test_nothing_is_computed_twice_and_changes_are_noticed(model, photos, tmp_path, monkeypatch):
    first = predict_to_files(model, list_images(photos), tmp_path / "out")
    own, seen = model.compute_logits, []
    monkeypatch.setattr(
        model, "compute_logits", lambda pixels, known: (seen.append(len(pixels)), own(pixels))[1]
    )
    assert predict_to_files(model, list_images(photos), tmp_path / "out") == first
    assert not seen
    (photos / "99.png").write_bytes((photos / "00.png").read_bytes())
    assert predict_to_files(model, list_images(photos), tmp_path / "out")["images"] == 24
    assert seen
