"""Memory of this process, where the system limits it, as ``ulimit -v`` does."""

from __future__ import annotations

import errno
import re
from importlib.util import find_spec
from pathlib import Path

from mlic.errors import MlicError

__all__ = ["is_out_of_memory", "memory_limit", "require_room_for_libraries"]

# what libraries raise instead of a MemoryError
_WORDS = re.compile(
    r"can(no|')t allocate|unable to allocate|out of memory|failed to map segment|bad_alloc"
    r"|can't start new thread",
    re.IGNORECASE,
)
_FULL = 0.9  # share of the limit from which any unexpected error is one of memory
_OTHER_LIBRARIES = 1e9  # bytes: all but torch, Python itself, and a small model


def memory_limit() -> int | None:
    """Bytes of addresses that this process may use; None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def require_room_for_libraries() -> None:
    """Raise a `MlicError` if this process may not use as much memory as its libraries need.

    Some of them end the process without an exception when they are loaded into too little memory.
    """
    limit = memory_limit()
    if limit is None:
        return
    needed = _torch_bytes() + _OTHER_LIBRARIES
    if limit < needed:
        raise MlicError(
            f"the memory of this process is limited to {limit / 1e9:.1f} GB (ulimit -v), but the "
            f"libraries alone need {needed / 1e9:.1f} GB of addresses, most of which are never "
            "filled: raise the limit, such as by `ulimit -v unlimited`",
            limit=limit,
            needed=needed,
        )


def _torch_bytes() -> int:
    """Size of torch's shared libraries and of those that its builds for GPUs load."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return 0
    folder = Path(spec.origin).parent
    places = [folder / "lib", folder.parent / "nvidia"]
    return sum(file.stat().st_size for place in places for file in place.rglob("*.so*"))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, whatever its type.

    Examples
    --------
    >>> is_out_of_memory(ImportError("libtorch.so: failed to map segment from shared object"))
    True
    >>> is_out_of_memory(KeyError("memory"))
    False
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # Where an allocation fails, C code may raise anything at all.
    return _WORDS.search(str(error)) is not None or _is_full()


def _is_full() -> bool:
    limit, status = memory_limit(), Path("/proc/self/status")
    if limit is None or not status.is_file():
        return False
    used = re.search(r"VmPeak:\s*(\d+) kB", status.read_text())
    return used is not None and int(used[1]) * 1024 >= _FULL * limit
