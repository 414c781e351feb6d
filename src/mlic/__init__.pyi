"""The names that `import mlic` offers, each imported when it is first used."""

from . import errors
from .errors import MlicError
from .evaluation.label_issues import find_label_issues
from .evaluation.metrics import (
    average_precision,
    mean_average_precision,
    threshold_metrics,
    top_k_metrics,
)
from .images.store import ImageStore
from .labels.graph import label_graph
from .labels.matrix import LabelMatrix
from .labels.partition.partition import Partition, user_partition
from .labels.partition.partitioning import partition_labels
from .labels.partition.quality import partition_quality
from .labels.partition.survey import suggest_parts, survey_parts
from .labels.space import LabelSpace
from .labels.statistics import LabelStatistics, count_labels
from .models.classifier import MultiLabelClassifier, build_classifier
from .models.options import ModelOptions

__version__: str

__all__ = [
    "ImageStore",
    "LabelMatrix",
    "LabelSpace",
    "LabelStatistics",
    "MlicError",
    "ModelOptions",
    "MultiLabelClassifier",
    "Partition",
    "average_precision",
    "build_classifier",
    "count_labels",
    "errors",
    "find_label_issues",
    "label_graph",
    "mean_average_precision",
    "partition_labels",
    "partition_quality",
    "suggest_parts",
    "survey_parts",
    "threshold_metrics",
    "top_k_metrics",
    "user_partition",
]
