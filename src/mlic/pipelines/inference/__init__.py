"""Predict new images with a trained model."""

from mlic.pipelines.inference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
