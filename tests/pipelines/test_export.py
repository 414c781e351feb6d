"""The pipeline that exports the student."""

import numpy as np
import pytest

from mlic.config.shape import RunShape
from mlic.inference.calibrate import calibrate_checkpoint
from mlic.inference.model import TrainedModel
from mlic.inference.options import CalibrationOptions
from mlic.pipelines.export import create_pipeline
from mlic.pipelines.export.nodes import export_to_onnx
from mlic.training.train import make_task, train


def test_onnx_file_of_a_trained_model_predicts_as_it_does(make_job, images, labels):
    onnxruntime = pytest.importorskip("onnxruntime")
    job = make_job()
    trained = train(make_task(job))[0]
    model = calibrate_checkpoint(trained, images, labels, job.options, CalibrationOptions())
    session = onnxruntime.InferenceSession(export_to_onnx(model, images, labels))
    (found,) = session.run(["probabilities"], {"images": images.pixels[:7]})
    expected = TrainedModel(model, device="cpu").probabilities(images.pixels[:7])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("head", "has_folder"), [("linear", True), ("query_decoder", False)])
def test_folder_for_timm_is_made_where_timm_has_the_head(head, has_folder):
    pipeline = create_pipeline(RunShape(head=head))
    assert ("student.timm" in pipeline.outputs()) is has_folder
    assert {"student.onnx", "student.card"} <= pipeline.outputs()
