import numpy as np
import pytest
import torch

from mlic.images.augmentation import ViewSampler
from mlic.images.preprocess import preprocess_views, preprocess_whole
from mlic.training.data import read_images
from mlic.training.device import make_fabric
from mlic.training.predict import predict_batches, predict_checkpoint, predict_training_views
from mlic.training.train import make_task, train


@pytest.fixture
def job(make_job):
    return make_job(name="teachers.cgp_0", role="teacher")


def test_training_views_are_predicted_as_the_model_predicts_single_images(job):
    (checkpoint,) = train(make_task(job))
    predicted = np.stack(list(predict_training_views(job, checkpoint)))
    assert predicted.shape == (2, 24, 4) and predicted.dtype == np.float32
    sampler = ViewSampler(job.images.ids.tolist(), job.options.augmentation, job.view_seed)
    model, spec = checkpoint.build(), checkpoint.input_spec
    for place in (0, 5, 23):  # each image by itself, whatever the batch it was in
        row = job.train_rows[[place]]
        pixels = torch.from_numpy(job.images.pixels[row])
        for view in (0, 1):
            images = preprocess_views(pixels, torch.from_numpy(sampler.boxes(row, view)), *spec)
            expected = model(images).detach().numpy()[0]
            np.testing.assert_allclose(predicted[view, place], expected, atol=1e-5)
    assert np.abs(predicted[0] - predicted[1]).max() > 1e-4


def test_blocks_together_are_the_views(job, monkeypatch):
    (checkpoint,) = train(make_task(job))
    whole = list(predict_training_views(job, checkpoint))
    size = job.options.batch_size
    monkeypatch.setattr("mlic.training.predict.BLOCK_IMAGES", 2 * size - 1)
    blocks = list(predict_training_views(job, checkpoint))
    assert [len(block) for block in blocks] == 2 * [
        min(size, 24 - start) for start in range(0, 24, size)
    ]
    # the batches are the same, so that the logits are too, to the last bit
    assert len(whole) == 2 and np.array_equal(np.concatenate(blocks), np.concatenate(whole))


def test_whole_images_in_any_batches(job):
    (checkpoint,) = train(make_task(job))
    rows = np.array([8, 0, 17, 3, 3])
    predicted = predict_checkpoint(checkpoint, job.images, rows, job.options)
    images = preprocess_whole(torch.from_numpy(job.images.pixels[rows]), *checkpoint.input_spec)
    expected = checkpoint.build()(images).detach().numpy()
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    few = job.options.model_copy(update={"batch_size": 2})
    again = predict_checkpoint(checkpoint, job.images, rows, few)
    np.testing.assert_allclose(again, predicted, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_prediction_uses_evaluation_mode_and_restores_the_mode(job, training):
    (checkpoint,) = train(make_task(job))
    model = checkpoint.build().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows, fabric = np.arange(6), make_fabric(job.options)

    def predict(batch_size):
        batches = read_images(job.images, rows, checkpoint.input_spec, fabric, batch_size)
        return predict_batches(model, batches, fabric)

    first = predict(4)
    assert model.training is training
    model.eval()
    np.testing.assert_allclose(first, predict(4))
    np.testing.assert_allclose(first, predict(6), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
