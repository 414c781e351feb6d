"""Data preparation: from the files of a data set to decoded images and split labels."""

from mlic.pipelines.data_preparation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
