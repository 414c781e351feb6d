"""One teacher for each group of labels."""

from mlic.pipelines.teacher_training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
