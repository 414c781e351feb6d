"""One training in several processes: start them, watch them, and end them together.

Fabric's own launchers give back a result only at the end, and an error as the text of a traceback.
Here rank 0 also sends what a training reports, and an `MlicError` arrives as it was raised.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from tqdm import tqdm

from mlic.errors import MlicError, ParameterError, TrainingError
from mlic.training.options import TrainingOptions
from mlic.utils.logging import set_up_logging
from mlic.utils.signals import end_with_parent

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

__all__ = ["launch", "require_devices"]

log = logging.getLogger(__name__)

_TIMEOUT = timedelta(minutes=30)  # how long a rank waits for the others; an evaluation fits in
_GRACE_SECONDS = 5.0  # in which the first cause of a failure shows itself among its consequences
_HOST = "127.0.0.1"

Send = Callable[[Any], None]


class _Rank(NamedTuple):
    """What a process needs to join the others."""

    number: int
    total: int
    port: int
    payload: Path


def require_devices(options: TrainingOptions) -> None:
    """Check that this machine has as many devices as a training asks for.

    Devices are GPUs or, on a machine without one, CPU cores. Too few are a `ParameterError`.
    """
    found, what = _count_devices()
    if options.devices > found:
        raise ParameterError(
            f"training.devices={options.devices}, but this machine has {found} {what}: set "
            f"training.devices to {found} or less",
            parameter="training.devices",
            value=options.devices,
            found=found,
        )


def _count_devices() -> tuple[int, str]:
    if torch.cuda.is_available():
        return torch.cuda.device_count(), "GPUs that PyTorch can use"
    if torch.backends.mps.is_available():
        return 1, "GPU that PyTorch can use"
    return os.cpu_count() or 1, "CPU cores and no GPU"


def launch(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    options: TrainingOptions,
    receive: Callable[[Any], None],
) -> Any:
    """Run a function in one process for each device, and return what it returns on rank 0.

    The processes belong to one group of `torch.distributed`. They all end when one of them fails,
    is killed, or when this process ends.

    Parameters
    ----------
    function
        Called as ``function(send, *arguments)`` in every process. What rank 0 sends is received
        here; what the others send is lost.
    arguments
        Large arrays among them are shared by all processes as one file, which is mapped.
    options
        Number of devices.
    receive
        Called with everything that rank 0 sends.

    Raises
    ------
    MlicError
        As it was raised by one of the processes.
    TrainingError
        If a process was killed or failed in another way. The field ``rank`` is its number.
    """
    require_devices(options)
    # Bound here, so that no other program can take a port between its choice and its use.
    store = TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory(prefix="mlic_ranks_") as folder:
        payload = Path(folder, "arguments")
        _write(payload, (function, tuple(arguments)))
        ranks = [_Rank(n, options.devices, store.port, payload) for n in range(options.devices)]
        with _started(ranks) as processes:
            return _supervise(processes, receive)


@contextmanager
def _started(ranks: Sequence[_Rank]) -> Iterator[dict[Connection, BaseProcess]]:
    """Start the processes; whatever ends the block ends them."""
    # spawned: neither CUDA nor the threads of OpenMP survive a fork
    context, processes = get_context("spawn"), dict[Any, Any]()
    # PyTorch reads it when it is loaded. Its only warning here is that a model has no unused
    # parameters, which is not known before.
    level = os.environ.get("TORCH_CPP_LOG_LEVEL")
    os.environ["TORCH_CPP_LOG_LEVEL"] = level or "ERROR"
    try:
        for own in ranks:
            reader, writer = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(own, writer), name=f"rank {own.number}")
            process.start()
            writer.close()  # so that the reader ends with the process
            processes[reader] = process
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.join(_GRACE_SECONDS)
            process.kill()
            process.join()


def _supervise(processes: dict[Connection, BaseProcess], receive: Callable[[Any], None]) -> Any:
    """Pass on what the processes send until all have ended; return the result of rank 0."""
    numbers = {reader: number for number, reader in enumerate(processes)}
    result, failures, deadline = None, dict[int, str](), math.inf
    waiting = list(processes)
    while waiting and time.monotonic() < deadline:
        left = None if deadline == math.inf else max(deadline - time.monotonic(), 0.0)
        for reader in cast("list[Connection]", wait(waiting, left)):
            try:
                kind, content = reader.recv()
            except EOFError:
                waiting.remove(reader)
                processes[reader].join()
                kind, content = "end", processes[reader].exitcode
            if kind == "message":
                receive(content)
            elif kind == "result":
                result = content
            elif isinstance(content, MlicError):
                raise content
            elif content:  # a traceback or an exit code
                failures |= {numbers[reader]: content} if kind == "failure" else {}
                deadline = min(deadline, time.monotonic() + _GRACE_SECONDS)
    if deadline < math.inf:
        raise _explain([process.exitcode for process in processes.values()], failures)
    return result


def _explain(codes: Sequence[int | None], failures: dict[int, str]) -> TrainingError:
    """Describe the first cause: a process that was killed makes the others fail too."""
    killed = [number for number, code in enumerate(codes) if code is not None and code < 0]
    ended = [number for number, code in enumerate(codes) if code and number not in failures]
    if killed:
        number, code = killed[0], codes[killed[0]]
        how = (
            f"was killed by {signal.Signals(-int(code or 0)).name}, perhaps because memory ran out"
        )
    elif ended:
        number, how = ended[0], f"ended with exit code {codes[ended[0]]}"
    else:
        number = next(iter(failures))
        log.error("Process %d of the training failed:\n%s", number, failures[number])
        how = f"failed ({failures[number].strip().splitlines()[-1]})"
    return TrainingError(
        f"process {number} of the {len(codes)} of a training {how}, and the others were ended: the "
        "same command continues after the last complete epoch; a smaller training.batch_size needs "
        "less memory",
        rank=number,
    )


def _run(own: _Rank, writer: Connection) -> None:
    """Join the group, run the function, and send its outcome; target of a process."""
    end_with_parent()
    # Ctrl-C reaches all processes of a terminal: the parent alone decides, and ends its ranks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_logging()
    # tqdm's own lock is a semaphore of the system, which would outlive the exit below
    tqdm.set_lock(threading.RLock())
    if own.number > 0:  # rank 0 says what all of them do
        logging.disable(logging.WARNING)
    # for Fabric: the processes exist already
    os.environ |= {"LOCAL_RANK": str(own.number), "NODE_RANK": "0"}
    code = 1
    try:
        function, arguments = _read(own.payload)
        store = TCPStore(_HOST, own.port, is_master=False, timeout=_TIMEOUT)
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=store,
            rank=own.number,
            world_size=own.total,
            timeout=_TIMEOUT,
        )
        result = function(lambda content: writer.send(("message", content)), *arguments)
        if own.number == 0:
            writer.send(("result", result))
        distributed.destroy_process_group()
        code = 0
    except MlicError as error:
        writer.send(("failure", error))
    except Exception:
        writer.send(("failure", traceback.format_exc()))
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # at once: Python would spend seconds on unloading PyTorch


def _write(path: Path, content: Any) -> None:
    """Pickle an object; its arrays follow as they are, so that readers can map them."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        head = pickle.dumps(content, protocol=5, buffer_callback=buffers.append)
    except (AttributeError, TypeError, pickle.PicklingError) as error:  # such as a local function
        raise TrainingError(
            f"this training cannot be sent to the processes of its devices ({error}): set "
            "training.devices=1, or define what a plug-in calls at the top of its module",
            parameter="training.devices",
        ) from error
    raw = [buffer.raw() for buffer in buffers]
    with path.open("wb") as file:
        pickle.dump((head, [len(one) for one in raw]), file)
        for one in raw:
            file.write(one)


def _read(path: Path) -> Any:
    """Undo `_write`: arrays are read-only parts of the file, in memory once for all readers."""
    with path.open("rb") as file:
        head, sizes = pickle.load(file)  # noqa: S301  written by the parent a moment ago
        start = file.tell()
    if not sum(sizes):
        return pickle.loads(head, buffers=[b""] * len(sizes))  # noqa: S301
    mapped, buffers = np.memmap(path, np.uint8, "r"), []
    for size in sizes:
        buffers.append(mapped[start : start + size].data)
        start += size
    return pickle.loads(head, buffers=buffers)  # noqa: S301
