"""A table of the tries with fine-tuned models: validation figures of each, as they were kept."""

from __future__ import annotations

import json
from statistics import fmean
from typing import TYPE_CHECKING, Any

from common import table

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["tell_tries"]

TITLE = "# psd_gain, tries with fine-tuned models"
NOTE = """\
Validation images alone; seeds 100 to 102, which the study does not use. Made by hand: no command
makes them anew. Figures of different grounds do not compare. `b_`: a baseline, `p`: a plain model,
`s`: a student, `sj`: one of joint teachers of CGP and DGP; `h1`, `s0.3`: weights of truth and
teachers, `T`: temperature, `e`: epochs, `warm`: from a teacher's weights, `oof`: each image told
by a model that has not seen it."""


def tell_tries(path: Path, write: bool) -> None:
    """Print the table; write it beside the raw rows if so wanted."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    text = table(summary(rows))
    print(text)
    if write:
        path.with_suffix(".md").write_text(
            "\n\n".join([TITLE, NOTE, text]) + "\n", encoding="utf-8"
        )


def summary(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One line a try: mean figures over its seeds.

    Examples
    --------
    >>> figures = {"mAP": 40.0, "mAP_all": 30.0}
    >>> row = {"try": "student", "ground": "the study's split", "validation": figures}
    >>> summary([row, row | {"validation": {"mAP": 41.0, "mAP_all": 31.0}}])[0]["mAP"]
    '40.50'
    """
    tries: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        tries.setdefault((row["ground"], row["try"]), []).append(row)
    return [
        {
            "ground": ground,
            "try": name,
            "options": json.dumps(own[0].get("options", {})).strip("{}"),
            "seeds": str(len(own)),
            **{
                column: f"{fmean(row['validation'][column] for row in own):.2f}"
                for column in ("mAP", "mAP_all")
            },
        }
        for (ground, name), own in tries.items()
    ]
