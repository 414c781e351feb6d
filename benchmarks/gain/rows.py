"""Raw rows of a study: one JSON line each, kept as it is made.

Costs that were measured for themselves, in ``<study>_costs.json`` beside the rows, take the place
of the seconds that busy processes took.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Row", "RowStore", "config_hash"]

Row = dict[str, Any]
KEY = ("row", "parts", "distiller", "seed")


def config_hash(*decisive: Any) -> str:
    """Eight hex digits over all that decides the rows but is none of their keys.

    Examples
    --------
    >>> config_hash({"epochs": 3}) == config_hash({"epochs": 4})
    False
    """
    plain = json.dumps(decisive, sort_keys=True, default=asdict)
    return hashlib.sha256(plain.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class RowStore:
    """Rows of one configuration in a file that may hold others too; several may append to it."""

    path: Path
    config: str

    def rows(self) -> list[Row]:
        """All rows of this configuration, by seed, else in the order made."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["config"] == self.config]
        costs = self._costs()
        for row in rows:
            if row["row"] in costs:
                row["cost"] = costs[row["row"]]
        return sorted(rows, key=lambda row: row["seed"])

    def _costs(self) -> dict[str, float]:
        path = self.path.with_name(f"{self.path.stem}_costs.json")
        return json.loads(path.read_text(encoding="utf-8"))["costs"] if path.is_file() else {}

    def lacks(self, name: str, parts: int, distiller: str, seeds: Sequence[int]) -> bool:
        """Whether a row is missing for one of the seeds."""
        kept = {key(row) for row in self.rows()}
        return any((name, parts, distiller, seed) not in kept for seed in seeds)

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows whose keys are not there yet."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:  # one write: a line is whole or absent
            fcntl.flock(file, fcntl.LOCK_EX)
            kept = {key(row) for row in self.rows()}
            new = [row | {"config": self.config} for row in rows if key(row) not in kept]
            file.write("".join(json.dumps(row) + "\n" for row in new).encode())


def key(row: Row) -> tuple[str, int, str, int]:
    """What tells rows of one configuration apart."""
    return tuple(row[name] for name in KEY)  # type: ignore[return-value]
