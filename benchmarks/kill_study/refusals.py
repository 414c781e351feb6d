"""What a machine may refuse: room on the disk, memory, the right to write; and the run after that.

Each must end with one message that names a cure, and the same command must then go on from what is
finished. Disks are small file systems in memory, which only the superuser can mount.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from kill_study import child
from kill_study.cases import EPOCHS, JOINT, Unbroken
from kill_study.project import list_partial, make_project, read_results, read_runs
from kill_study.runs import Outcome, Run, steps_of

__all__ = ["refuse_all"]

DISKS = (0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)  # as a share of what a whole run needs
MEMORY = (800, 2400, 3600, 4800, 4900, 5000)  # MB of addresses
CURES = r"free space|free some space|allow access|write access|lower |raise the limit|move "
_DROP, _OVERRIDE = 24, 1  # PR_CAPBSET_DROP and CAP_DAC_OVERRIDE of Linux


def refuse_all(folder: Path, known: Unbroken, size: int) -> list[dict[str, Any]]:
    """Rows of all refusals; ``size`` is what the project of a whole run needs, in bytes."""
    rows = [_refuse_memory(folder / "memory", known, limit) for limit in MEMORY]
    rows += [_refuse_access(folder / "access", known, name) for name in (".", "data", "mlflow.db")]
    if os.geteuid() == 0:
        rows += [_refuse_disk(folder / "disk", known, share, size) for share in DISKS]
    return [row for row in rows if row]


def _refuse_memory(folder: Path, known: Unbroken, limit: int) -> dict[str, Any]:
    project = make_project(folder)
    limited = partial(resource.setrlimit, resource.RLIMIT_AS, (limit * 2**20,) * 2)
    return _compare(f"memory of {limit} MB", project, known, limited, lambda: None)


def _refuse_access(folder: Path, known: Unbroken, name: str) -> dict[str, Any]:
    """Take the right to write a folder or a file, which a finished first run has left."""
    project = make_project(folder)
    first = Run(project, [*JOINT.arguments, "--to-nodes", "baseline.train"], cold=True).end()
    assert first.code == 0, first.text
    place = project / name
    mode = place.stat().st_mode
    place.chmod(0o444 if place.is_file() else 0o555)
    # without this capability, the superuser needs the right too
    drop = partial(ctypes.CDLL(None).prctl, _DROP, _OVERRIDE, 0, 0, 0)
    what = f"no right to write {'the project' if name == '.' else name}"
    return _compare(what, project, known, drop, lambda: place.chmod(mode))


def _refuse_disk(folder: Path, known: Unbroken, share: float, size: int) -> dict[str, Any]:
    with _small_disk(folder, int(share * size)) as enlarge:
        project = make_project(folder / "project")
        return _compare(f"disk of {100 * share:.0f} %", project, known, None, enlarge)


@contextmanager
def _small_disk(folder: Path, num_bytes: int) -> Iterator[Callable[[], None]]:
    folder.mkdir(parents=True)

    def mount(*options: str) -> None:
        subprocess.run(["mount", *options, "none", str(folder)], check=True)

    mount("-t", "tmpfs", "-o", f"size={num_bytes}")
    try:
        yield lambda: mount("-o", "remount,size=1g")
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def _compare(
    what: str, project: Path, known: Unbroken, before: Any, cure: Callable[[], object]
) -> dict[str, Any]:
    """Run under a refusal, remove it, run again; nothing if the run did not notice it."""
    environment = {child.STEPS: str(project / "../steps")}
    (project / "../steps").unlink(missing_ok=True)
    refused = Run(project, JOINT.arguments, environment, cold=True, before=before).end()
    if refused.code == 0:
        return {}
    cure()
    again = Run(project, JOINT.arguments, environment, cold=True).end()
    done = steps_of(project / "../steps")
    running, epochs = read_runs(project, EPOCHS) if again.code == 0 else (1, 1)
    row = {
        "setup": JOINT.name,
        "killed": what,
        "kills": 1,
        "equal": int(again.code == 0 and read_results(project) == known.results),
        "RUNNING": running,
        "partial": len(list_partial(project)),
        "alive": len(refused.alive),
        "tracebacks": int(refused.has_traceback or again.has_traceback),
        "most twice": max(
            (done.get(name, 0) - own) / JOINT.interval(own) for name, own in known.steps.items()
        ),
    }
    # a training whose state has no room on the disk is lost, and the log says so
    allowed = EPOCHS if "would lose this training" in refused.text else 1
    row["holds"] = row["equal"] and not (row["tracebacks"] or row["RUNNING"] or row["partial"])
    row["holds"] = bool(
        row["holds"] and row["most twice"] <= allowed and not epochs and _is_one(refused)
    )
    print(what, row, *_messages(refused)[:12], sep="\n  ", flush=True)
    return row


def _messages(ended: Outcome) -> list[str]:
    """What the user read beside the log."""
    lines = ended.text.splitlines()
    return [
        line for line in lines if not re.match(r"\[?\d+[-/]\d+[-/]\d+ .* (INFO|WARNING) ", line)
    ]


def _is_one(refused: Outcome) -> bool:
    """Whether the run ended with one message, which names a cure."""
    messages = _messages(refused)
    return len(messages) == 1 and re.search(CURES, messages[0]) is not None
