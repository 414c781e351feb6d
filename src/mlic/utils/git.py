"""The commit of the project that a result was made with."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["git_commit", "use_commit"]

_given: list[str | None] = []  # the commit of code that was copied without its repository


@cache
def git_commit() -> str | None:
    """First 12 digits of the project's commit, None outside git.

    They are followed by ``+changes`` if tracked files differ from the commit.
    """
    if _given:
        return _given[-1]
    git = shutil.which("git")
    head = _run(git, "rev-parse", "HEAD") if git else None
    if git is None or head is None:
        return None
    return head[:12] + ("+changes" if _run(git, "status", "--porcelain", "-uno") else "")


@contextmanager
def use_commit(commit: str | None) -> Iterator[None]:
    """Let `git_commit` return this in the block, on a machine that was sent the code alone."""
    _given.append(commit)
    git_commit.cache_clear()
    try:
        yield
    finally:
        _given.pop()
        git_commit.cache_clear()


def _run(*command: str) -> str | None:
    # The commit of this package counts, not that of the folder where the command is run.
    done = subprocess.run(  # noqa: S603
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
