"""From a data set's files to decoded images and a split label matrix."""

from mlic.pipelines.data_preparation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
