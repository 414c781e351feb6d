"""mlic's own `kedro run`: Kedro's, with runners that leave out what is up to date."""

from __future__ import annotations

import copy
from typing import Any

import click
import kedro.runner
from kedro.framework.cli.project import run as kedro_run

__all__ = ["cli", "run"]

_OURS = ("ParallelRunner", "SequentialRunner")


def _find_ours(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """A runner of ours by its short name; Kedro's of the same name has a longer one."""
    if "." not in name and not hasattr(kedro.runner, name):
        raise click.BadParameter(f"there is no runner '{name}': take one of {', '.join(_OURS)}")
    return f"mlic.runners.{name}" if name in _OURS else name


def _runner_option() -> click.Option:
    text = (
        "SequentialRunner, or ParallelRunner for trainings side by side; both leave out what is "
        "up to date. Kedro's own run everything: kedro.runner.SequentialRunner, …"
    )
    declared = ["--runner", "-r"]
    return click.Option(declared, default=_OURS[1], callback=_find_ours, help=text)


def _with_our_runners(command: click.Command) -> click.Command:
    ours = copy.copy(command)
    ours.params = [_runner_option() if o.name == "runner" else o for o in command.params]
    return ours


run: Any = _with_our_runners(kedro_run)
cli = click.Group("mlic", commands={"run": run})
