"""Which commit of the project a result was made with."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["git_commit"]


@cache
def git_commit() -> str | None:
    """Commit of the working tree, with ``+changes`` where files differ; None outside git."""
    git = shutil.which("git")
    if git is None:
        return None
    head = _ask(git, "rev-parse", "HEAD")
    if head is None:
        return None
    return head[:12] + ("+changes" if _ask(git, "status", "--porcelain", "-uno") else "")


def _ask(*command: str) -> str | None:
    done = subprocess.run(  # noqa: S603
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
