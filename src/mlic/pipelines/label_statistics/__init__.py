"""Label statistics: counts of labels and of pairs of labels in the training split."""

from mlic.pipelines.label_statistics.pipeline import create_pipeline

__all__ = ["create_pipeline"]
