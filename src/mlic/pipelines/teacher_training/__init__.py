"""Train one teacher for each part of the labels."""

from mlic.pipelines.teacher_training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
