"""Plotly figures of the report; Kedro-Viz displays the same ones."""

from mlic.report.figures.calibration import draw_decisions, draw_reliability
from mlic.report.figures.counts import draw_label_counts
from mlic.report.figures.networks import draw_networks
from mlic.report.figures.pairs import draw_pair_errors
from mlic.report.figures.partitions import draw_partitions
from mlic.report.figures.precision import draw_average_precision
from mlic.report.figures.survey import draw_survey
from mlic.report.figures.training import draw_training_curves

__all__ = [
    "draw_average_precision",
    "draw_decisions",
    "draw_label_counts",
    "draw_networks",
    "draw_pair_errors",
    "draw_partitions",
    "draw_reliability",
    "draw_survey",
    "draw_training_curves",
]
