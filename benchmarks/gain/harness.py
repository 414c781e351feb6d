"""What every gain study shares: rows that are kept as they finish, and reports made from them.

A study is a table of rows, one per setting and seed. Rows are appended to one CSV file per study as
soon as they are measured, so that a script that was stopped continues where it was. Every row
carries the hash of the configuration it was measured with, and a report uses the rows of one
configuration only.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from common import RESULTS as ALL_RESULTS
from common import Claim, table

from gain.comparison import Ingredient, Setting, contributions, summary
from gain.datasets import CACHE
from mlic.caching.code_version import training_code_version

RESULTS = ALL_RESULTS / "psd_gain"
KEY = ["row", "parts", "distiller", "seed"]
TEXTS = {"row": str, "distiller": str, "config": str}  # a hash such as 121e8123 is no number


@dataclass(frozen=True)
class Study:
    """One table of rows, and what is concluded from it."""

    name: str  # also of its files in results/psd_gain
    configuration: Mapping[str, Any]  # what decides the rows besides setting and seed; JSON-able
    seeds: int  # of a complete study
    # Measures all missing rows of one seed; None for a study whose rows are historical.
    measure: Callable[[RowStore, int], None] | None
    claims: Callable[[pd.DataFrame], list[Claim]]
    ingredients: Callable[[pd.DataFrame], list[Ingredient]]
    note: str  # a paragraph of the report on where the rows come from

    def store(self, folder: Path = RESULTS) -> RowStore:
        """Rows of the present configuration."""
        return RowStore(folder / f"{self.name}.csv", config_hash(self.configuration))

    def confirmed(self) -> RowStore:
        """Committed rows of the configuration that the committed claims are made of."""
        kept = json.loads((RESULTS / f"{self.name}.json").read_text(encoding="utf-8"))
        return RowStore(RESULTS / f"{self.name}.csv", kept["header"]["configuration"])


def config_hash(configuration: Mapping[str, Any]) -> str:
    """Eight hex digits over a configuration.

    Examples
    --------
    >>> config_hash({"epochs": 3}) == config_hash({"epochs": 4})
    False
    """
    text = json.dumps(configuration, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def training_folder(name: str, configuration: Mapping[str, Any], seed: int) -> Path:
    """Folder of the trainings of one seed, and of the seconds that they took."""
    # Seconds of another version of the code must not be reused.
    return CACHE / f"{name}_{config_hash(configuration)}_{training_code_version()}_{seed}"


@dataclass(frozen=True)
class RowStore:
    """Rows of one configuration in a CSV file, to which several processes may append."""

    path: Path
    config: str

    def rows(self) -> pd.DataFrame:
        """All rows of this configuration; index (row, parts, distiller, seed), sorted."""
        if not self.path.is_file() or not self.path.stat().st_size:
            return pd.DataFrame(columns=KEY).set_index(KEY)
        rows = pd.read_csv(self.path, dtype=TEXTS)
        rows = rows[rows["config"] == self.config].fillna({"distiller": ""})
        return rows.drop(columns="config").set_index(KEY).sort_index()

    def lacks(self, setting: Setting, seed: int) -> bool:
        """Whether a row has not been measured yet."""
        return (*setting, seed) not in self.rows().index

    def add(self, setting: Setting, seed: int, figures: Mapping[str, float]) -> None:
        """Append a row, unless one of its setting and seed is there already."""
        row = dict(zip(KEY, (*setting, seed), strict=True)) | dict(figures)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One unbuffered write under a lock: after a crash a line is complete or absent.
        with self.path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not self.lacks(setting, seed):
                return
            with self.path.open(newline="", encoding="utf-8") as kept:
                columns = next(csv.reader(kept), [])
            text = io.StringIO()
            writer = csv.DictWriter(text, columns or [*row, "config"], lineterminator="\n")
            if not columns:
                writer.writeheader()
            writer.writerow(row | {"config": self.config})
            file.write(text.getvalue().encode())


def write_report(study: Study, header: dict[str, Any], rows: pd.DataFrame) -> None:
    """Write ``<study>.md`` for people and ``<study>.json`` for scripts."""
    claims = [asdict(claim) for claim in study.claims(rows)]
    added = contributions(rows, study.ingredients(rows))
    parts = [
        f"# psd_gain, {study.name}",
        study.note,
        "\n".join(f"- {name}: {value}" for name, value in header.items()),
        table(summary(rows)),
        "## What each ingredient adds",
        "Points on the test images, paired 95 % intervals; cost in baseline trainings.",
        table(added),
        "## Claims",
        table(claims),
    ]
    text = "\n\n".join(parts) + "\n"
    (RESULTS / f"{study.name}.md").write_text(text, encoding="utf-8")
    document = {"header": header, "claims": claims, "ingredients": added}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (RESULTS / f"{study.name}.json").write_text(text + "\n", encoding="utf-8")
