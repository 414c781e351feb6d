from dataclasses import replace

import numpy as np
import pytest
import torch

from mlic.caching.store import ArtifactStore
from mlic.images.augmentation import ViewSampler
from mlic.images.preprocess import preprocess_views, preprocess_whole
from mlic.training.device import make_fabric
from mlic.training.fit import train
from mlic.training.predict import (
    predict_checkpoint,
    predict_logits,
    predict_training_views,
    write_logits,
)


@pytest.fixture
def job(make_job):
    return make_job(name="teachers.cgp_0", role="teacher")


def write(job, checkpoint, folder, dtype="float32"):
    store = ArtifactStore(folder, job.name)
    return write_logits(job, checkpoint, predict_training_views(job, checkpoint), store, dtype)


def test_views_are_written_as_they_are_rendered(job, tmp_path):
    checkpoint = train(job)
    written = write(job, checkpoint, tmp_path)
    assert written.values.shape == (2, 24, 4) and written.values.dtype == np.float32
    assert written.fingerprint == checkpoint.fingerprint and written.views == job.views
    maker = ViewSampler(job.images.ids.tolist(), job.options.augmentation, job.view_seed)
    model, frame = checkpoint.build(), (32, checkpoint.info.mean, checkpoint.info.std)
    for place in (0, 5, 23):  # each image by itself, whatever the batch it was in
        row = job.train_rows[[place]]
        pixels = torch.from_numpy(job.images.pixels[row])
        for view in (0, 1):
            images = preprocess_views(pixels, torch.from_numpy(maker.boxes(row, view)), *frame)
            expected = model(images).detach().numpy()[0]
            np.testing.assert_allclose(written.values[view, place], expected, atol=1e-5)
        assert written.ids[place] == job.images.ids[row[0]]
    assert np.abs(written.values[0] - written.values[1]).max() > 1e-4


def test_half_precision_keeps_to_its_tolerance(job, tmp_path):
    checkpoint = train(job)
    whole, half = (write(job, checkpoint, tmp_path, f"float{bits}").values for bits in (32, 16))
    assert half.dtype == np.float16 and half.nbytes * 2 == whole.nbytes
    assert (np.abs(half.astype(np.float32) - whole) <= np.abs(whole) / 2048).all()
    probability = [1 / (1 + np.exp(-np.asarray(z, dtype=np.float64))) for z in (whole, half)]
    assert np.abs(probability[0] - probability[1]).max() <= 1.1e-4


def test_logits_come_from_their_file_only_for_the_same_teacher_and_precision(job, tmp_path):
    store, views = ArtifactStore(tmp_path, job.name), np.ones((2, 24, 4), np.float32)
    one, other = train(job), train(replace(job, seed=4))
    write_logits(job, one, views, store, "float16")
    assert (write_logits(job, one, iter(()), store, "float16").values == 1).all()
    for teacher, dtype in ((other, "float16"), (one, "float32")):
        assert (write_logits(job, teacher, 2 * views, store, dtype).values == 2).all()


def test_whole_images_in_any_batches(job):
    checkpoint = train(job)
    rows = np.array([8, 0, 17, 3, 3])
    predicted = predict_checkpoint(checkpoint, job.images, rows, job.options)
    images = preprocess_whole(
        torch.from_numpy(job.images.pixels[rows]), 32, checkpoint.info.mean, checkpoint.info.std
    )
    expected = checkpoint.build()(images).detach().numpy()
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    few = job.options.model_copy(update={"batch_size": 2})
    again = predict_checkpoint(checkpoint, job.images, rows, few)
    np.testing.assert_allclose(again, predicted, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_judged_in_evaluation_mode_and_left_as_it_was(job, training):
    model = train(job).build().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frame = (32, *model.normalisation)
    rows, fabric = np.arange(6), make_fabric(job.options)
    first = predict_logits(model, job.images, rows, frame, fabric, 4)
    assert model.training is training
    assert np.allclose(first, predict_logits(model.eval(), job.images, rows, frame, fabric, 4))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
