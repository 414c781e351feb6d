"""`python -m mlic`: the same as `kedro run`."""

import sys
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project

__all__ = ["main"]


def main(*args: Any, **options: Any) -> Any:
    """Run the pipeline, with the command-line options of `kedro run`.

    Parameters
    ----------
    *args, **options
        Arguments of the click command.

    Returns
    -------
    dict
        Outputs of the run, in an interactive session; otherwise the program ends.
    """
    configure_project("mlic")
    options["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command("mlic")(*args, **options)


if __name__ == "__main__":
    main()
