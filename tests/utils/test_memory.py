"""Errors that mean that memory ran out, and limits that are too low for the libraries."""

import errno
import subprocess
import sys

import pytest

from mlic.errors import MlicError
from mlic.utils import memory
from mlic.utils.memory import is_out_of_memory, memory_limit, require_room_for_libraries

resource = pytest.importorskip("resource")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("can't start new thread"),
        RuntimeError("CUDA out of memory. Tried to allocate 9 GiB"),
    ],
)
def test_errors_of_memory(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [KeyError("memory"), OSError(errno.ENOENT, "x"), SystemError()])
def test_other_errors(error):
    assert not is_out_of_memory(error)


def test_any_error_of_a_process_that_has_filled_its_memory_is_one_of_memory(monkeypatch):
    monkeypatch.setattr(memory, "memory_limit", lambda: 1000)
    assert is_out_of_memory(SystemError("error return without exception set"))


def test_a_limit_below_the_size_of_the_libraries_is_refused(monkeypatch):
    require_room_for_libraries()
    monkeypatch.setattr(memory, "memory_limit", lambda: 10**9)
    with pytest.raises(MlicError, match=r"limited to 1\.0 GB .*ulimit -v unlimited") as caught:
        require_room_for_libraries()
    assert caught.value.fields["limit"] == 10**9 < caught.value.fields["needed"] < 10**11


def test_the_limit_is_that_of_ulimit():
    assert memory_limit() is None
    script = "from mlic.utils.memory import memory_limit; print(memory_limit())"
    command = f"ulimit -v 4000000; exec '{sys.executable}' -c '{script}'"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert ended.stdout == f"{4000000 * 1024}\n"
