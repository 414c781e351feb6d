"""Kedro's hooks: pipeline shape, tracking, console and checks before a run."""

from mlic.hooks.hooks import ClosingTable, PipelineShape, PlainErrors, RunTracking

__all__ = ["ClosingTable", "PipelineShape", "PlainErrors", "RunTracking"]
