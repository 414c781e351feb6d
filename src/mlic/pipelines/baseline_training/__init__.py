"""The plain model of the same backbone and budget: without it no gain can be seen."""

from mlic.pipelines.baseline_training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
