"""Synthetic images with known labels and masks."""
