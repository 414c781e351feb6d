import pytest
import torch

from mlic.errors import ParameterError, TrainingError
from mlic.training.device import make_fabric, memory_advice
from mlic.training.options import DistillationOptions, TrainingOptions
from mlic.training.probe import check_objectives, measure_step

OPTIONS = TrainingOptions(epochs=1, batch_size=4, learning_rate=1, threads=1, precision="32")


@pytest.mark.skipif(torch.cuda.is_available(), reason="for a machine without a GPU")
def test_without_a_gpu_it_is_the_processor_in_32_bits():
    fabric = make_fabric(OPTIONS.model_copy(update={"precision": "auto"}))
    assert fabric.device.type == "cpu"
    with fabric.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_threads_are_pinned():
    make_fabric(OPTIONS.model_copy(update={"threads": 2}))
    assert torch.get_num_threads() == 2


def test_advice_for_a_single_picture_does_not_go_below_one():
    one = OPTIONS.model_copy(update={"batch_size": 1})
    with (
        pytest.raises(TrainingError, match=r"student ran out .*batch_size=1,"),
        memory_advice(one, "student"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_trial_step_is_measured(make_job):
    seconds, parameters = measure_step(make_job().model, OPTIONS, 32, 3)
    assert 0 < seconds < 10
    assert parameters > 1000


def test_wrong_options_are_told_before_anything_is_trained():
    soft = DistillationOptions(distiller={"name": "binary_kl", "options": {"temperture": 2}})
    with pytest.raises(ParameterError, match="temperture"):
        check_objectives(OPTIONS, soft)
    clip = {"student": {"loss": {"name": "asymmetric", "options": {"clip": 2}}}}
    with pytest.raises(ParameterError, match="clip=2"):
        check_objectives(OPTIONS.model_copy(update={"overrides": clip}), DistillationOptions())
    check_objectives(OPTIONS, DistillationOptions())
