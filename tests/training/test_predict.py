import numpy as np
import pytest
import torch

from mlic.images.augmentation import ViewMaker
from mlic.images.render import render_views, render_whole
from mlic.training.device import make_fabric
from mlic.training.loop import train
from mlic.training.predict import predict_checkpoint, predict_logits, predict_training_views


@pytest.fixture
def job(make_job):
    return make_job(name="teachers.cgp_0", role="teacher")


def test_views_are_written_as_they_are_rendered(job):
    checkpoint = train(job)
    written = predict_training_views(job, checkpoint)
    assert written.values.shape == (2, 24, 4) and written.values.dtype == np.float32
    assert written.fingerprint == checkpoint.fingerprint and written.views == job.views
    maker = ViewMaker(job.pictures.ids.tolist(), job.options.augmentation, job.view_seed)
    model, frame = checkpoint.build(), (32, checkpoint.info.mean, checkpoint.info.std)
    for place in (0, 5, 23):  # each picture by itself, whatever the batch it was in
        row = job.train_rows[[place]]
        pixels = torch.from_numpy(job.pictures.pixels[row])
        for view in (0, 1):
            images = render_views(pixels, torch.from_numpy(maker.boxes(row, view)), *frame)
            expected = model(images).detach().numpy()[0]
            np.testing.assert_allclose(written.values[view, place], expected, atol=1e-5)
        assert written.ids[place] == job.pictures.ids[row[0]]
    assert np.abs(written.values[0] - written.values[1]).max() > 1e-4


def test_whole_pictures_in_any_batches(job):
    checkpoint = train(job)
    rows = np.array([8, 0, 17, 3, 3])
    predicted = predict_checkpoint(checkpoint, job.pictures, rows, job.options)
    images = render_whole(
        torch.from_numpy(job.pictures.pixels[rows]), 32, checkpoint.info.mean, checkpoint.info.std
    )
    expected = checkpoint.build()(images).detach().numpy()
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    few = job.options.model_copy(update={"batch_size": 2})
    again = predict_checkpoint(checkpoint, job.pictures, rows, few)
    np.testing.assert_allclose(again, predicted, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_judged_in_evaluation_mode_and_left_as_it_was(job, training):
    model = train(job).build().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frame = (32, *model.normalisation)
    rows, fabric = np.arange(6), make_fabric(job.options)
    first = predict_logits(model, job.pictures, rows, frame, fabric, 4)
    assert model.training is training
    assert np.allclose(first, predict_logits(model.eval(), job.pictures, rows, frame, fabric, 4))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
