"""Label states that a user already knows, for models that can use them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mlic.errors import LabelError, ParameterError
from mlic.labels import UNKNOWN
from mlic.labels.matrix import require_states
from mlic.models.options import HEADS
from mlic.training.checkpoint import Checkpoint
from mlic.utils.plugins import find_plugin

__all__ = ["known_states"]


def known_states(
    checkpoint: Checkpoint, known: Mapping[str, bool] | NDArray[np.integer] | None, num_images: int
) -> NDArray[np.int8] | None:
    """Bring known labels into the shape that a model takes; (n, C), int8.

    Raises
    ------
    ParameterError
        If the model's head has no use for known labels.
    LabelError
        If a label is none of the model's, or states have another shape or other values.
    """
    if known is None:
        return None
    head = checkpoint.info.model.head
    if not find_plugin(HEADS, head).uses_known:
        raise ParameterError(
            f"known: the head '{head}' cannot use labels that are known already: leave them out, "
            "or train a model whose head can",
            parameter="known",
            value=head,
        )
    shape = (num_images, len(checkpoint.info.labels))
    if isinstance(known, Mapping):
        states = np.full(shape, UNKNOWN, np.int8)
        states[:, checkpoint.space.indices(known)] = list(known.values())
        return states
    given = np.asarray(known)
    require_states(given)
    if given.shape != shape:
        raise LabelError(
            f"known states of shape {given.shape} do not fit {shape[0]} images and {shape[1]} "
            "labels: give one state for each",
            found=given.shape,
            expected=shape,
        )
    return given.astype(np.int8)
