import numpy as np
import pytest
import torch

from mlic.errors import TrainingError
from mlic.training import device
from mlic.training.device import compiles, make_fabric, memory_advice
from mlic.training.options import TrainingOptions

OPTIONS = TrainingOptions(epochs=1, batch_size=4, learning_rate=1, threads=1, precision="32")


@pytest.mark.skipif(torch.cuda.is_available(), reason="for a machine without a GPU")
def test_without_a_gpu_the_cpu_is_used_with_32_bits():
    fabric = make_fabric(OPTIONS.model_copy(update={"precision": "auto"}))
    assert fabric.device.type == "cpu"
    with fabric.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_number_of_threads_is_fixed():
    make_fabric(OPTIONS.model_copy(update={"threads": 2}))
    assert torch.get_num_threads() == 2


def test_advice_for_a_single_image_keeps_a_batch_size_of_one():
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


def test_arrays_are_sent_to_a_gpu_through_page_locked_memory(monkeypatch):
    class OnGpu:
        device = torch.device("cuda")

        def to_device(self, tensor):
            return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)
    array = np.zeros(3, dtype=np.uint8)
    assert device.send(array, OnGpu()).tolist() == [1, 1, 1]
    assert device.send(array, make_fabric(OPTIONS)).tolist() == [0, 0, 0]


def is_compiled(compile, kind="cuda", steps=10_000):
    return compiles(OPTIONS.model_copy(update={"compile": compile}), torch.device(kind), steps)


def test_required_compilation_without_a_compiler_is_an_error(no_compiler, monkeypatch):
    monkeypatch.setattr(torch, "zeros", lambda size, device: None)  # there may be no GPU
    for kind in ("cpu", "cuda"):
        with pytest.raises(TrainingError, match=r"compile.*\(InvalidCxxCompiler: no g\+\+\)"):
            is_compiled(True, kind)


def test_automatic_compilation_without_a_compiler_is_a_warning(no_compiler, monkeypatch, caplog):
    monkeypatch.setattr(torch, "zeros", lambda size, device: None)
    assert not is_compiled("auto")
    assert "cannot compile" in caplog.text


def test_only_long_trainings_on_a_gpu_are_compiled_automatically(monkeypatch):
    monkeypatch.setattr(device, "why_not_compiled", lambda kind: "")
    assert is_compiled("auto") and is_compiled(True, "cpu", 1)
    assert (
        not is_compiled("auto", steps=9_999)
        and not is_compiled("auto", "cpu")
        and not is_compiled(False)
    )
