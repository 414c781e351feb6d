"""Manifests: a CSV file or Parquet table with one row an image."""

from mlic.datasets.manifest.dataset import ManifestDataset

__all__ = ["ManifestDataset"]
