"""`kedro run` with runners that skip nodes that are up to date."""

from __future__ import annotations

import copy
from typing import Any

import click
import kedro.runner
from kedro.framework.cli.project import run as kedro_run

from mlic import runners

__all__ = ["cli", "run"]


def _resolve_runner(_context: click.Context, _option: click.Parameter, name: str) -> str:
    """Full name of a runner. A short name means mlic's; Kedro's have longer names."""
    if name in runners.__all__:
        return f"{runners.__name__}.{name}"
    if "." not in name and not hasattr(kedro.runner, name):
        known = ", ".join(runners.__all__)
        raise click.BadParameter(f"there is no runner '{name}': choose one of {known}")
    return name


def _with_our_runners(command: click.Command) -> click.Command:
    ours = copy.copy(command)
    option = click.Option(
        ["--runner", "-r"],
        default="SequentialRunner",
        callback=_resolve_runner,
        help="SequentialRunner, or ParallelRunner for trainings side by side; both skip nodes that "
        "are up to date. Kedro's own runners run everything: kedro.runner.SequentialRunner, …",
    )
    ours.params = [option if each.name == "runner" else each for each in command.params]
    return ours


run: Any = _with_our_runners(kedro_run)
cli = click.Group("mlic", commands={"run": run})
