"""Exact multi-label metrics: average precision, and precision, recall and F1.

Rules for all of them:

* cells with an unknown state (−1), such as the difficult objects of VOC, are ignored;
* a label without a known positive is left out of means over labels, and of mAP one without a known
  negative too; if no label is left, the figure is NaN;
* equal scores are one threshold for average precision, and are ranked in column order by top-k;
* figures are fractions from 0 to 1.
"""

from mlic.evaluation.average_precision import average_precision, mean_average_precision
from mlic.evaluation.decisions import per_label_f1, threshold_metrics, top_k_metrics

__all__ = [
    "average_precision",
    "mean_average_precision",
    "per_label_f1",
    "threshold_metrics",
    "top_k_metrics",
]
