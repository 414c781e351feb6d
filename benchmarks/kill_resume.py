"""Whole runs that are killed, and what the same command then makes of it.

    python benchmarks/kill_resume.py --write

A small project is run once unbroken for each way to train. Then a run of it is killed by SIGKILL,
the same command is given again, and everything is compared: figures, histories, weights, logits,
runs of MLflow, files and processes that are left, steps that were done twice. The moments are drawn
over the whole time, at every kind of file replacement (just before and just after it), after
training steps, while MLflow first creates its database, and under ``ParallelRunner``, of which the
parent or a worker is killed. Each kill is a row of ``results/kill_resume_rows.jsonl``; a study that
was stopped continues with the next row. Three further parts: a disk that is full, memory that is
limited, and a folder that cannot be written end in one message, and lose nothing; and the time that
saving takes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from common import RESULTS, Claim, emit, header
from kill_study import child
from kill_study.cases import EPOCHS, SETUPS, Case, Setup, Unbroken, make_case
from kill_study.project import (
    list_partial,
    make_database,
    make_project,
    read_results,
    read_runs,
)
from kill_study.refusals import refuse_all
from kill_study.runs import Run, ask_kill, preload, steps_of
from kill_study.saving import measure_saving

ROWS = RESULTS / "kill_resume_rows.jsonl"
QUICK = (7, 1)  # a step and a file
SAVING_GOAL = 0.01  # of the training time


def main() -> None:
    """Run what is missing, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backbone", default="resnet50", help="of the training whose saves count")
    parser.add_argument("--rows", type=Path, default=ROWS, help="where each kill is a row")
    parser.add_argument("--quick", action="store_true", help="two kills")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    loading = preload()
    # not a TemporaryDirectory, which every forked run would delete when it ends
    folder = Path(tempfile.mkdtemp())
    try:
        study = Study(folder, options.seed, loading)
        if options.quick:
            rows = [study.kill(study.case(number)) for number in QUICK]
            refused, saving = [], measure_saving("resnet10t", 224, 96)
        else:
            rows = study.run_missing(options.kills, options.rows)
            refused = refuse_all(folder, study.unbroken(SETUPS[0]), study.size)
            saving = measure_saving(options.backbone, 224, 96)
    finally:
        shutil.rmtree(folder)
    claims = [*_claims(rows, options.seed), *_refusal_claims(refused), _saving_claim(saving)]
    emit(__file__, [*_summarise(rows), *map(_without_verdict, refused)], claims, options.write)


class Study:
    """Kills, and the unbroken runs that they are compared with."""

    def __init__(self, folder: Path, seed: int, loading: float) -> None:
        self.folder, self.seed, self.loading = folder, seed, loading
        self.database, self.database_seconds = make_database(folder / "database")
        self.size = 0  # of a project after a run, in bytes
        self._unbroken: dict[str, Unbroken] = {}

    def unbroken(self, setup: Setup) -> Unbroken:
        """Run a setup without a kill, once."""
        if setup.name not in self._unbroken:
            project = make_project(self.folder / "unbroken", self.database)
            files = {child.STEPS: project / "steps", child.WRITES: project / "replaced"}
            environment = {name: str(file) for name, file in files.items()}
            ended = Run(project, setup.arguments, environment, cold=setup.is_parallel).end()
            assert ended.code == 0, ended.text
            self.size = sum(one.stat().st_size for one in project.rglob("*") if one.is_file())
            self._unbroken[setup.name] = Unbroken(
                ended.seconds,
                (project / "replaced").read_text().split(),
                steps_of(project / "steps"),
                read_results(project),
                self.database_seconds,
            )
        return self._unbroken[setup.name]

    def case(self, number: int) -> Case:
        """Choose a kill."""
        return make_case(number, self.seed, self.unbroken)

    def run_missing(self, number: int, file: Path) -> list[dict[str, Any]]:
        """Rows of so many kills; those that the file lacks are made, and added to it."""
        lines = file.read_text().splitlines() if file.is_file() else []
        rows = {row["case"]: row for row in map(json.loads, lines)}
        for missing in sorted(set(range(number)) - rows.keys()):
            rows[missing] = row = self.kill(self.case(missing))
            with file.open("a") as target:
                target.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        return [rows[each] for each in range(number)]

    def kill(self, case: Case) -> dict[str, Any]:
        """Kill a run, give its command again, and compare."""
        setup, known = case.setup, self.unbroken(case.setup)
        # a new interpreter loads first; the unbroken run of workers did so too
        loading = self.loading if case.cold and not setup.is_parallel else 0
        moment = case.moment * (known.seconds + loading)
        while True:
            project = make_project(
                self.folder / "killed", None if case.kind == "mlflow" else self.database
            )
            environment = {child.STEPS: str(project / "steps")}
            asked = ask_kill(**case.asked) if case.asked else {}
            run = Run(project, setup.arguments, environment | asked, case.cold)
            if case.asked or run.kill_after(moment, case.kind == "worker"):
                killed = run.end()
                if killed.code != 0:
                    break
            else:
                run.end()
            moment *= 0.8  # it was faster than the unbroken run, and ended before
        stage = killed.text.count("Completed ")
        left = list_partial(project)
        again = Run(project, setup.arguments, environment, case.cold).end()
        return {
            "case": case.number,
            "setup": setup.name,
            "kind": case.kind,
            "moment": case.text,
            "new interpreter": case.cold,
            "nodes before": stage,
            "files before": len(left),
            "traceback": killed.has_traceback or again.has_traceback,
            **self._compare(project, setup, again.code),
            "alive": len(killed.alive) + len(again.alive),
            "commit": header()["commit"],
            "seconds": round(killed.seconds + again.seconds, 1),
        }

    def _compare(self, project: Path, setup: Setup, code: int) -> dict[str, Any]:
        known = self.unbroken(setup)
        if code:
            return {"ended": False, "equal": False, "running": 1, "epochs": 1, "partial": 1,
                    "twice": 1.0, "differs": (project / "run.log").read_text()[-300:]}  # fmt: skip
        found, (running, epochs) = read_results(project), read_runs(project, EPOCHS)
        differs = [name for name in known.results if found.get(name) != known.results[name]]
        done = steps_of(project / "steps")
        twice = max((done[name] - own) / setup.interval(own) for name, own in known.steps.items())
        return {
            "ended": True,
            "equal": found == known.results,
            "running": running,
            "epochs": epochs,
            "partial": len(list_partial(project)),
            "twice": round(twice, 3),
            "differs": " ".join(differs)[:300],
        }


def _summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each way to train and kind of moment."""
    kinds = Counter((row["setup"], row["kind"]) for row in rows)
    summary = []
    for (setup, kind), number in sorted(kinds.items()):
        own = [row for row in rows if (row["setup"], row["kind"]) == (setup, kind)]
        summary.append(
            {
                "setup": setup,
                "killed": kind,
                "kills": number,
                "equal": sum(row["equal"] for row in own),
                "RUNNING": sum(row["running"] for row in own),
                "partial": sum(row["partial"] for row in own),
                "alive": sum(row["alive"] for row in own),
                "tracebacks": sum(row["traceback"] for row in own),
                "most twice": max(row["twice"] for row in own),
            }
        )
    return summary


def _claims(rows: list[dict[str, Any]], seed: int) -> list[Claim]:
    number, seeds = len(rows), [seed]
    equal = sum(row["equal"] for row in rows)
    none = {
        "runs of MLflow left RUNNING": "running",
        "trainings in MLflow with an epoch missing or twice": "epochs",
        "partial files left": "partial",
        "processes alive after 5 s": "alive",
        "kills with a traceback": "traceback",
    }
    counts = {name: sum(row[key] for row in rows) for name, key in none.items()}
    twice = max(row["twice"] for row in rows)
    return [
        Claim(f"of {number} kills, equal to the unbroken run to the bit", equal, "kills",
              str(number), equal == number, seeds),
        *(Claim(name, value, "", "0", value == 0, seeds) for name, value in counts.items()),
        Claim("most work done twice", twice, "save intervals", "<= 1", twice <= 1, seeds),
    ]  # fmt: skip


def _without_verdict(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "holds"}


def _refusal_claims(rows: list[dict[str, Any]]) -> list[Claim]:
    wrong = sum(not row["holds"] for row in rows)
    name = f"of {len(rows)} refusals, those that lose work or do not end in one message"
    return [Claim(name, wrong, "refusals", "0", wrong == 0)] if rows else []


def _saving_claim(saving: dict[str, Any]) -> Claim:
    share = saving["share"]
    name = f"saving {saving['backbone']}, share of the training time"
    return Claim(name, share, "", f"<= {SAVING_GOAL}", share <= SAVING_GOAL)


if __name__ == "__main__":
    main()
