"""Metrics, predictions and the analysis of errors."""
