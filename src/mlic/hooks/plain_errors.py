"""Print errors of mlic as one message, and set up the log."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.hooks import hook_impl
from omegaconf import OmegaConf

from mlic.hooks.console import PlainExcepthook, exit_codes, is_news
from mlic.utils.logging import set_up_logging

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

__all__ = ["PlainErrors"]


class PlainErrors:
    """Prints an `MlicError` as one message, without a traceback."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Install log format, excepthook, exit codes and log filter."""
        # Kedro looks for the logging configuration in the working directory, not in the project.
        if "KEDRO_LOGGING_CONFIG" not in os.environ:
            _set_levels(Path(context.project_path, "conf", "logging.yml"))
        logging.getLogger("kedro.pipeline.node").addFilter(is_news)
        # A process may create several contexts, but one hook is enough.
        if not isinstance(sys.excepthook, PlainExcepthook):
            sys.excepthook = PlainExcepthook(sys.excepthook)
        set_up_logging()
        if command := click.get_current_context(silent=True):
            command.with_resource(exit_codes())


def _set_levels(path: Path) -> None:
    """Apply the project's log levels; handlers stay as they are, for a notebook has its own."""
    if path.is_file() and path.parents[1] != Path.cwd():
        settings: Any = OmegaConf.load(path)
        for name, logger in settings.get("loggers", {}).items():
            logging.getLogger(name).setLevel(logger["level"])
