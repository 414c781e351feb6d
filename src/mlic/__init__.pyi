"""The names that `import mlic` offers, each imported when it is first used."""

from . import errors
from .errors import MlicError
from .evaluation.label_issues import find_label_issues
from .evaluation.metrics import average_precision, mean_average_precision, threshold_metrics
from .images.preprocess import preprocess_whole
from .images.read import read_images
from .images.store import ImageStore
from .inference.calibrate import calibrate
from .inference.model import TrainedModel, load_model
from .labels.context import LabelContext
from .labels.graph import label_graph
from .labels.matrix import LabelMatrix
from .labels.partition.cover import Partition, user_partition
from .labels.partition.partitioning import partition_labels
from .labels.partition.quality import partition_quality
from .labels.partition.survey import suggest_parts, survey_parts
from .labels.space import LabelSpace
from .labels.statistics import LabelStatistics, count_labels
from .models.classifier import build_classifier
from .models.options import ModelOptions
from .training.calibration import Calibration
from .training.checkpoint import Checkpoint, load_checkpoint

__version__: str

__all__ = [
    "Calibration",
    "Checkpoint",
    "ImageStore",
    "LabelContext",
    "LabelMatrix",
    "LabelSpace",
    "LabelStatistics",
    "MlicError",
    "ModelOptions",
    "Partition",
    "TrainedModel",
    "average_precision",
    "build_classifier",
    "calibrate",
    "count_labels",
    "errors",
    "find_label_issues",
    "label_graph",
    "load_checkpoint",
    "load_model",
    "mean_average_precision",
    "partition_labels",
    "partition_quality",
    "preprocess_whole",
    "read_images",
    "suggest_parts",
    "survey_parts",
    "threshold_metrics",
    "user_partition",
]
