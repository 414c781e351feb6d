"""The science of labels: numpy, scipy, scikit-learn and networkx; no torch, no Kedro."""

from mlic.labels.matrix import ABSENT, PRESENT, SPLITS, UNKNOWN, LabelMatrix
from mlic.labels.space import LabelSpace

__all__ = ["ABSENT", "PRESENT", "SPLITS", "UNKNOWN", "LabelMatrix", "LabelSpace"]
