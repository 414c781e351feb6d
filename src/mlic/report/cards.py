"""Images in the page, each with what models say of it."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mlic.explain.class_maps import choose_images
from mlic.labels import PRESENT, UNKNOWN

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mlic.evaluation.predictions import Predictions
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix

__all__ = ["as_source", "enlarge", "example_cards", "issue_cards"]

SIDE = 144  # pixels of an image in the page
NUMBER = 12  # cards of a kind
MOST_PRESENT, MOST_ABSENT = 6, 3  # labels on a card
MARKS = {PRESENT: "✓", UNKNOWN: "?"}


def enlarge(pixels: NDArray[np.uint8]) -> Image.Image:
    """An image of ``SIDE`` pixels, from pixels of shape (H, W, 3)."""
    return Image.fromarray(np.asarray(pixels)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def as_source(image: Image.Image) -> str:
    """An image as the address that holds it, JPEG within."""
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def example_cards(
    predictions: Predictions, test: LabelMatrix, images: ImageStore
) -> list[dict[str, Any]]:
    """Cards of test images, the first by a hash of their id, with both models' scores.

    Returns
    -------
    list of dict
        ``id``, ``source`` of the image, and ``scores``: label, mark of its state, and the
        probabilities of ``baseline`` and ``student`` in whole percent. The present labels, and
        the others that a model holds most likely.
    """
    from scipy.special import expit

    chosen = choose_images(test, NUMBER)
    places = {name: row for row, name in enumerate(predictions.ids.tolist())}
    rows = [places[name] for name in chosen.ids.tolist()]
    models = ("baseline", "student")
    said = {m: 100 * expit(predictions.joined(test.space, [m])[rows]) for m in models}
    pixels = images.pixels[images.rows(chosen.ids)]
    return [
        {
            "id": str(name),
            "source": as_source(enlarge(pixels[i])),
            "scores": [
                {
                    "label": test.space.names[label],
                    "mark": MARKS.get(int(chosen.states[i, label]), "✗"),
                    **{model: round(float(said[model][i, label])) for model in models},
                }
                for label in _worth_showing(chosen.states[i], np.stack([said[m][i] for m in said]))
            ],
        }
        for i, name in enumerate(chosen.ids)
    ]


def _worth_showing(states: NDArray[np.int8], said: NDArray[np.floating]) -> list[int]:
    """Columns of labels to show, the likeliest first; ``said`` of shape (models, C)."""
    order = np.argsort(-said.max(axis=0), kind="stable")
    present = states[order] == PRESENT
    return [*order[present][:MOST_PRESENT].tolist(), *order[~present][:MOST_ABSENT].tolist()]


def issue_cards(label_issues: pd.DataFrame, images: ImageStore) -> list[dict[str, Any]]:
    """Cards of the images that are most likely mislabelled: ``id``, ``source``, ``claim``."""
    first = label_issues.drop_duplicates("id")[:NUMBER]
    pixels = images.pixels[images.rows(first["id"])]
    return [
        {
            "id": row["id"],
            "source": as_source(enlarge(pixels[i])),
            "claim": f"“{row['label']}” is given as {row['given']}; the student holds it "
            f"{row['probability']:.1f} % likely. ({row['split']} split)",
        }
        for i, row in enumerate(first.to_dict("records"))
    ]
