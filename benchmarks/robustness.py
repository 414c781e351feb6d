"""Odd and damaged files: one clear error or the right figures, never a traceback or a wrong figure.

    python benchmarks/robustness.py --write

Three studies. Every reader is given valid files that were changed at random, a million in all:
whatever is raised must be an `MlicError`. Every file that a run left under ``data`` is mutated, and
the next run must notice, or the content must be the same. Some of these runs are made as a user
would make them, and their figures compared with those of the unbroken run.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from common import Claim, emit
from robustness_study.damage import (
    Found,
    damage_files,
    damage_runs,
    make_project,
    remember_stores,
)
from robustness_study.readers import READERS, Reader

from mlic.errors import MlicError

CASES, TIMES, RUNS = 1_000_000, 1_000, 60
QUICK = {"cases": 800, "times": 1, "runs": 1}


def main() -> None:
    """Run all three studies, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=CASES, help="changed files, over all readers")
    parser.add_argument("--times", type=int, default=TIMES, help="mutations of each stored file")
    parser.add_argument("--runs", type=int, default=RUNS, help="whole runs after a mutation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="few of each")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    if options.quick:
        options = argparse.Namespace(**{**vars(options), **QUICK})
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    fuzzed = [fuzz(r, options.cases // len(READERS), options.seed) for r in READERS]
    rows = [
        {"study": "readers", "files": row["reader"], "changed": row["changed"],
         "noticed": row["refused"], "read": row["read"], "silent": 0,
         "tracebacks": len(row["foreign"])}
        for row in fuzzed
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder))
        remember_stores(project)
        damaged = damage_files(project, options.times, options.seed)
        whole, kinds = damage_runs(project, options.runs, options.seed)
    rows += [_row("mutations", kind, found) for kind, found in sorted(damaged.items())]
    rows.append(_row("whole runs", f"{len(kinds)} kinds", whole))
    for text in [t for row in fuzzed for t in row["foreign"][:5]]:
        print("foreign:", text)
    for found in (*damaged.values(), whole):
        for text in (found.silent + found.tracebacks)[:5]:
            print("wrong:", text)
    emit(__file__, rows, _claims(fuzzed, [*damaged.values()], whole, options.seed), options.write)


def fuzz(reader: Reader, cases: int, seed: int, limit: float | None = None) -> dict[str, Any]:
    """Read so many changed files, for at most so many seconds, and count what happens."""
    found: dict[str, Any] = {"reader": reader.name, "changed": 0, "read": 0, "refused": 0}
    found["foreign"] = []
    end = None if limit is None else time.monotonic() + limit
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "files")
        place.mkdir()
        file = reader.write(place)
        valid = file.read_bytes()
        reader.read(file)
        for case in range(cases):
            if end is not None and time.monotonic() > end:
                break
            file.write_bytes(reader.change(valid, Random(f"{seed} {case}")))
            found["changed"] += 1
            try:
                reader.read(file)
                found["read"] += 1
            except MlicError:
                found["refused"] += 1
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # Rust's panics are no Exception
                found["foreign"].append(f"{reader.name}, case {case}: {type(error).__name__}")
    return found


def _row(study: str, files: str, found: Found) -> dict[str, Any]:
    silent, tracebacks = len(found.silent), len(found.tracebacks)
    return {
        "study": study,
        "files": files,
        "changed": found.noticed + found.harmless + silent + tracebacks,
        "noticed": found.noticed,
        "read": found.harmless,
        "silent": silent,
        "tracebacks": tracebacks,
    }


def _claims(
    fuzzed: Sequence[dict[str, Any]], damaged: Sequence[Found], whole: Found, seed: int
) -> list[Claim]:
    cases = sum(row["changed"] for row in fuzzed)
    foreign = sum(len(row["foreign"]) for row in fuzzed)
    mutations = sum(
        one.noticed + one.harmless + len(one.silent) + len(one.tracebacks) for one in damaged
    )
    figures = {
        f"foreign exceptions in {cases:,} changed files": foreign,
        f"silent among {mutations:,} mutations": sum(len(one.silent) for one in damaged),
        f"tracebacks among {mutations:,} mutations": sum(len(one.tracebacks) for one in damaged),
        "whole runs with other figures": len(whole.silent),
        "whole runs with a traceback": len(whole.tracebacks),
    }
    return [
        Claim(name, float(value), "cases", "0", value == 0, [seed])
        for name, value in figures.items()
    ]


if __name__ == "__main__":
    main()
