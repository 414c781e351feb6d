"""Compact multi-label image models, taught by groups of labels that keep company."""

__version__ = "0.1.0"
