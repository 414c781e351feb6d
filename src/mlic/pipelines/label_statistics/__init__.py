"""Count which labels appear, and which appear together."""

from mlic.pipelines.label_statistics.pipeline import create_pipeline

__all__ = ["create_pipeline"]
