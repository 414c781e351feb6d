"""Metrics, predictions of models, and analysis of their errors."""
