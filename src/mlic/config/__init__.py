"""Typed parameters, recipes and the shape of a run."""
