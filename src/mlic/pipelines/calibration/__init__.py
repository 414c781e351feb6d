"""Calibrate the finished models, and choose the thresholds of their labels."""

from mlic.pipelines.calibration.pipeline import create_pipeline

__all__ = ["create_pipeline"]
