"""Kedro's runners that leave out what is up to date, and train side by side in processes."""

from mlic.runners.parallel import ParallelRunner
from mlic.runners.sequential import SequentialRunner

__all__ = ["ParallelRunner", "SequentialRunner"]
