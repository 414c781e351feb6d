"""`kedro run` with runners that skip nodes that are up to date, and `kedro parameters`."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Sequence
from typing import Any

import click
import kedro.runner
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import _split_params

from mlic import runners

__all__ = ["cli", "parameters", "run"]


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
        help="SequentialRunner; ParallelRunner for trainings side by side; RayRunner for several "
        "machines. All skip nodes that are up to date. Kedro's own runners run everything: "
        "kedro.runner.SequentialRunner, …",
    )
    ours.params = [option if each.name == "runner" else each for each in command.params]
    return ours


@click.command()
@click.option("--env", "-e", default=None, help="Environment, as for kedro run.")
@click.option("--params", default="", callback=_split_params, help="As for kedro run.")
@click.argument("sections", nargs=-1)
def parameters(env: str | None, params: dict[str, Any], sections: tuple[str, ...]) -> None:
    """List every parameter with its value and where the value comes from.

    SECTIONS, such as training, limit the list.
    """
    from kedro.framework.session import KedroSession

    from mlic.config.resolved import resolve

    session: Any
    with KedroSession.create(env=env, runtime_params=params) as session:
        found = resolve(session.load_context().config_loader)
    shown = [one for one in found if not sections or one.key.partition(".")[0] in sections]
    if not shown:
        raise click.BadParameter(f"there is no section {', '.join(sections)}")
    width = max(len(one.key) for one in shown)
    for one in shown:
        value = json.dumps(one.value, ensure_ascii=False)
        click.echo(f"{one.key:{width}}  {value}  ({one.source})")


def _stay_offline(arguments: Sequence[str]) -> None:
    """Keep Kedro-Viz from asking the package index for its newest version at every start."""
    # Only for its own commands: the module takes long to import.
    if "viz" in arguments:
        from kedro_viz.integrations import pypi

        pypi.get_latest_version = lambda: None


_stay_offline(sys.argv)  # Kedro imports this module before it runs a command of Kedro-Viz
run: Any = _with_our_runners(kedro_run)
cli = click.Group("mlic", commands={"run": run, "parameters": parameters})
