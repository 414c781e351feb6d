"""Kedro's runners, one after the other or in parallel, which skip nodes that are up to date."""

from mlic.runners.parallel import ParallelRunner
from mlic.runners.sequential import SequentialRunner

__all__ = ["ParallelRunner", "SequentialRunner"]
