"""Figures, as plotly objects: one library for the report, kedro-viz and a static picture."""

from mlic.figures.partitions import draw_partitions
from mlic.figures.survey import draw_survey

__all__ = ["draw_partitions", "draw_survey"]
