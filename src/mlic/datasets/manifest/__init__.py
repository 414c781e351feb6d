"""Manifests: a CSV file or Parquet table with one row an image."""
