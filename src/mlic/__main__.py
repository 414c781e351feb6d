"""`python -m mlic`: the same as `kedro run`, where the kedro command is not at hand."""

import sys
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project

__all__ = ["main"]


def main(*args: Any, **options: Any) -> Any:
    """Run the pipeline with the options of `kedro run`, which are read from the command line.

    Parameters
    ----------
    *args, **options
        Handed on to the command, as click takes them.

    Returns
    -------
    dict
        In an interactive session the run's outputs; a program ends here.
    """
    configure_project("mlic")
    options["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command("mlic")(*args, **options)


if __name__ == "__main__":
    main()
