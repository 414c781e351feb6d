"""Readers of files, and odd content for them; see ``robustness.py``."""
