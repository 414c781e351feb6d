"""Soft targets: the logits of all teachers, joined for the student."""
