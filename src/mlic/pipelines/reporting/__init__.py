"""Reporting: score all models on the test split and write the report."""

from mlic.pipelines.reporting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
