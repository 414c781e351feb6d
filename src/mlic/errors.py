"""One tree of errors: every mistake in data, parameters or files ends in a leaf of `MlicError`.

A message names what failed, where, and how to fix it, because the command line prints nothing else.
"""

from __future__ import annotations

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
    """Base of every error that mlic raises on purpose.

    Parameters
    ----------
    message
        What failed, where, and how to fix it.
    **fields
        The values that the message names, such as ``path`` or ``label``, for code that handles
        the error.

    Examples
    --------
    >>> error = LabelError("the label 'cat' appears twice: rename one", label="cat")
    >>> str(error), error.fields
    ("the label 'cat' appears twice: rename one", {'label': 'cat'})
    """

    def __init__(self, message: str = "", **fields: object) -> None:
        super().__init__(message)
        self.fields = fields


class DataError(MlicError):
    """Images or their manifest are missing, unreadable or contradictory."""


class LabelError(MlicError):
    """A label, a label state or the order of labels is wrong."""


class PartitionError(MlicError):
    """A partition is not a disjoint, complete cover of the labels, or not the one expected."""


class ParameterError(MlicError):
    """Parameters are missing, unknown or out of range."""


class CheckpointError(MlicError):
    """A checkpoint is not readable, or does not fit what it is to be used with."""


class TrainingError(MlicError):
    """A training cannot start or cannot continue."""
