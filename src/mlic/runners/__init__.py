"""Kedro's runners, in one process, in several or on several machines, which skip what is unchanged.

All of them skip the nodes that are up to date.
"""

from mlic.runners.parallel import ParallelRunner
from mlic.runners.ray_runner import RayRunner
from mlic.runners.sequential import SequentialRunner

__all__ = ["ParallelRunner", "RayRunner", "SequentialRunner"]
