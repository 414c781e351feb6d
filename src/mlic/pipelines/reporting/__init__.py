"""Judge all models on the test split, once, and write down what came of it."""

from mlic.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
