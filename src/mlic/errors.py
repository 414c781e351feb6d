"""One tree of errors: every mistake a person can make ends in a leaf of `MlicError`.

A message names the thing, the place and the mend, because Kedro's face prints nothing else of it.
"""

__all__ = [
    "CheckpointError",
    "DataError",
    "LabelError",
    "MlicError",
    "ParameterError",
    "PartitionError",
    "TrainingError",
]


class MlicError(Exception):
    """Base of every error that mlic raises on purpose."""


class DataError(MlicError):
    """Images or their manifest are missing, unreadable or contradict themselves."""


class LabelError(MlicError):
    """A label, a label state or the order of labels is not what it should be."""


class PartitionError(MlicError):
    """A partition is not a disjoint, complete cover of the labels, or not the one expected."""


class ParameterError(MlicError):
    """Parameters are missing, unknown or out of range."""


class CheckpointError(MlicError):
    """A checkpoint is not readable or does not fit what it is to be joined with."""


class TrainingError(MlicError):
    """A training cannot start or go on."""
