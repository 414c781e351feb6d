"""Distil all teachers into one student that knows all labels."""

from mlic.pipelines.distillation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
