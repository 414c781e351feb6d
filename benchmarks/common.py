"""What benchmark scripts share: parameters, a table to read, claims to check, a header."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from mlic.config.parameters import Parameters

__all__ = ["RESULTS", "ROOT", "Claim", "emit", "header", "load_parameters", "save_figure", "table"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Claim:
    """One figure with its goal; ``holds`` says whether the goal is met."""

    name: str
    value: float
    unit: str
    goal: str
    holds: bool
    seeds: list[int] = field(default_factory=list)
    device: str = "cpu"


def emit(script: str, rows: list[dict[str, Any]], claims: list[Claim], write: bool) -> None:
    """Print rows and claims, the claims as JSON on the last line; write both where asked.

    Parameters
    ----------
    script
        ``__file__`` of the benchmark, whose stem names the results.
    rows
        One dict per row, all with the same keys.
    claims
        Figures and goals.
    write
        Whether to write ``benchmarks/results/<stem>.md`` and ``.json``.
    """
    listed = [asdict(claim) for claim in claims]
    print(table(rows))
    if write:
        about, stem = header(), RESULTS / Path(script).stem
        lines = [f"# {stem.name}", "", *(f"- {k}: {v}" for k, v in about.items()), ""]
        text = "\n".join([*lines, table(rows), "", "## Claims", "", table(listed), ""])
        stem.with_suffix(".md").write_text(text, encoding="utf-8")
        document = {"header": about, "claims": listed, "rows": rows}
        stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(listed))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as SVG; the same rows give the same file."""
    import matplotlib as mpl

    # without a date and random ids
    with mpl.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


def load_parameters(overrides: Sequence[str]) -> Parameters:
    """The demo's parameters with some of them changed, such as ``training.epochs=2``."""
    # Imported here: most benchmarks measure without Kedro.
    from omegaconf import OmegaConf

    from mlic.config.parameters import check_parameters
    from mlic.config.recipes import RecipeConfigLoader

    loader = RecipeConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    merged = OmegaConf.merge(loader["parameters"], OmegaConf.from_dotlist(list(overrides)))
    return check_parameters(OmegaConf.to_container(merged))


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as an aligned Markdown table."""
    if not rows:
        return "(no rows)"
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    padded = ([c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in cells)
    return "\n".join("| " + " | ".join(row) + " |" for row in padded)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):  # seeds: the number of many, the names of few
        return str(len(value)) if len(value) > 5 else " ".join(map(str, value))
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def header() -> dict[str, str]:
    """Command, machine and commit of a measurement."""
    script = Path(sys.argv[0]).resolve()
    shown = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name
    return {
        # Without the folders of one machine, which mean nothing on another.
        "command": " ".join(["python", str(shown), *map(_without_folder, sys.argv[1:])]),
        "cores": f"{os.cpu_count()} ({platform.machine()})",
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _without_folder(argument: str) -> str:
    return f"…/{Path(argument).name}" if argument.startswith("/") else argument


def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "none yet"
