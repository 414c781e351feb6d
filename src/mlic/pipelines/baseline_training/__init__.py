"""Train the baseline: the same backbone and budget without teachers, for comparison."""

from mlic.pipelines.baseline_training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
