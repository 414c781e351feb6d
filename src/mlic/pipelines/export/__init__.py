"""Export the student for use without mlic, with a model card."""

from mlic.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
