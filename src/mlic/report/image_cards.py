"""Images of the report, each with its labels and the probabilities of the models."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlic.evaluation.predictions import Predictions
from mlic.explain.class_maps import choose_images
from mlic.images.store import ImageStore
from mlic.images.thumbnails import encode_image, resize_image
from mlic.labels import PRESENT, UNKNOWN, LabelMatrix
from mlic.training.calibration import Calibration

__all__ = ["example_cards", "issue_cards"]

MAX_CARDS = 12
MAX_PRESENT, MAX_ABSENT = 6, 3  # labels of one card
MODELS = ("baseline", "student")
MARKS = {PRESENT: "✓", UNKNOWN: "?"}


def example_cards(
    predictions: Predictions,
    test: LabelMatrix,
    images: ImageStore,
    calibrations: Mapping[str, Calibration],
) -> list[dict[str, Any]]:
    """Make cards of test images, chosen by a hash of their id, with the scores of both models.

    A card has the ``id``; the ``source``, which is the image as a data URL; and ``scores``, a list
    of dicts with the ``label``, the ``mark`` of its state, the calibrated probabilities of
    ``baseline`` and ``student`` in whole percent, and ``predicted``: whether the student predicts
    it. These are the present labels and the absent ones with the highest probabilities. An image
    that is not in the store is a DataError.
    """
    chosen = choose_images(test, MAX_CARDS)
    row_of = {name: row for row, name in enumerate(predictions.ids.tolist())}
    rows = [row_of[name] for name in chosen.ids.tolist()]
    logits = {model: predictions.joined(test.space, [model])[rows] for model in MODELS}
    probabilities = np.stack([calibrations[m].probabilities(logits[m]) for m in MODELS])
    decided = calibrations[MODELS[-1]].decide(probabilities[-1])
    pixels = images.read(images.rows(chosen.ids))
    return [
        {
            "id": str(name),
            "source": encode_image(resize_image(pixels[i])),
            "scores": _scores(
                test.space.names, chosen.states[i], 100 * probabilities[:, i], decided[i]
            ),
        }
        for i, name in enumerate(chosen.ids)
    ]


def _scores(
    names: tuple[str, ...],
    states: NDArray[np.int8],
    probabilities: NDArray[np.floating],
    decided: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Select the labels of a card, most probable first; ``probabilities`` (models, C)."""
    # By the more confident of the two models, so that both kinds of mistakes are visible.
    order = np.argsort(-probabilities.max(axis=0), kind="stable")
    present = states[order] == PRESENT
    scores = []
    for label in (*order[present][:MAX_PRESENT], *order[~present][:MAX_ABSENT]):
        percent = (round(float(own[label])) for own in probabilities)
        mark = MARKS.get(int(states[label]), "✗")
        shown = zip(MODELS, percent, strict=True)
        predicted = bool(decided[label])
        scores.append({"label": names[label], "mark": mark, "predicted": predicted, **dict(shown)})
    return scores


def issue_cards(label_issues: pd.DataFrame, images: ImageStore) -> list[dict[str, Any]]:
    """Make cards of the images whose labels should be checked first, in the order of the table.

    A card has the ``id``, the ``source``, and a ``claim``: what to check, in words.
    """
    # An image with several suspicious labels has one card, for the first of them.
    first = label_issues.drop_duplicates("id")[:MAX_CARDS]
    pixels = images.read(images.rows(first["id"]))
    return [
        {
            "id": row["id"],
            "source": encode_image(resize_image(pixels[i])),
            "claim": f"Is “{row['label']}” {row['given']}, as annotated? The models give it a "
            f"probability of {row['probability']:.0f} %. ({row['split']} split)",
        }
        for i, row in enumerate(first.to_dict("records"))
    ]
