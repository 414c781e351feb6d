import numpy as np
import pytest
import torch

from mlic.errors import ParameterError, TrainingError
from mlic.training import device
from mlic.training.device import compiles, make_fabric, memory_advice
from mlic.training.options import DistillationOptions, TrainingOptions
from mlic.training.step_timing import check_objectives, measure_step

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


def test_advice_for_a_single_image_does_not_go_below_one():
    one = OPTIONS.model_copy(update={"batch_size": 1})
    with (
        pytest.raises(TrainingError, match=r"student ran out .*batch_size=1,"),
        memory_advice(one, "student"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.fixture
def no_compiler(monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("inductor raised:\nInvalidCxxCompiler: no g++\nmore")

    monkeypatch.setattr(torch, "compile", refuse)
    device.why_not_compiled.cache_clear()
    yield
    device.why_not_compiled.cache_clear()


def test_what_is_sent_to_a_gpu_goes_through_locked_memory(monkeypatch):
    class OnGpu:
        device = torch.device("cuda")

        def to_device(self, tensor):
            return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    array = np.zeros(3, dtype=np.uint8)
    assert device.send(array, OnGpu()).tolist() == [1, 1, 1]
    assert device.send(array, make_fabric(OPTIONS)).tolist() == [0, 0, 0]


def asked(compile, kind="cuda", steps=10_000):
    return compiles(OPTIONS.model_copy(update={"compile": compile}), torch.device(kind), steps)


def test_who_asks_to_compile_without_a_compiler_is_told(no_compiler, monkeypatch):
    monkeypatch.setattr(torch, "zeros", lambda size, device: None)  # there may be no GPU
    for kind in ("cpu", "cuda"):
        with pytest.raises(TrainingError, match=r"compile.*\(InvalidCxxCompiler: no g\+\+\)"):
            asked(True, kind)


def test_what_compiles_by_itself_says_so_when_it_cannot(no_compiler, monkeypatch, caplog):
    monkeypatch.setattr(torch, "zeros", lambda size, device: None)
    assert not asked("auto")
    assert "cannot compile" in caplog.text


def test_only_long_trainings_on_a_gpu_compile_by_themselves(monkeypatch):
    monkeypatch.setattr(device, "why_not_compiled", lambda kind: "")
    assert asked("auto") and asked(True, "cpu", 1)
    assert not asked("auto", steps=9_999) and not asked("auto", "cpu") and not asked(False)


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
