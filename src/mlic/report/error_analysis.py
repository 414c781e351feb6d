"""Nodes that look for mistakes: of models, in pairs of labels, and of those who labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from mlic.evaluation.predictions import Predictions
    from mlic.images.store import ImageStore
    from mlic.labels import LabelMatrix
else:  # Kedro reads the annotations as it starts, and needs only those of parameters
    DataFrame = ImageStore = LabelMatrix = Predictions = Any

__all__ = ["find_label_issues", "show_images", "tabulate_pair_errors"]

MOST_PAIRS = 100  # of each kind of error and model
MOST_ISSUES = 1000


def tabulate_pair_errors(predictions: Predictions, labels: LabelMatrix) -> DataFrame:
    """Pairs of labels that baseline or student claim together wrongly, or confuse; worst first."""
    import numpy as np
    import pandas as pd

    from mlic.evaluation.error_analysis import claim_as_many, pair_errors

    test = labels.in_split("test")
    claims = {
        model: claim_as_many(predictions.joined(test.space, [model]), test.states)
        for model in ("baseline", "student")
    }
    columns = pair_errors(claims, test.states, MOST_PAIRS)
    names = np.asarray(labels.space.names)
    return pd.DataFrame(columns).assign(**{k: names[columns[k]] for k in ("first", "second")})


def find_label_issues(
    predictions: Predictions, learning_predictions: Predictions, labels: LabelMatrix
) -> DataFrame:
    """States that the student contradicts confidently, least self-confidence first; in percent."""
    import pandas as pd

    told = {"test": predictions, "train": learning_predictions, "validation": learning_predictions}
    found = [_issues_of_split(labels.in_split(split), split, said) for split, said in told.items()]
    issues = pd.concat(found).sort_values("self_confidence", kind="stable")
    return issues[:MOST_ISSUES].reset_index(drop=True)


def _issues_of_split(labels: LabelMatrix, split: str, predictions: Predictions) -> DataFrame:
    """A table of its own thresholds: those of images that were learned from are others."""
    import numpy as np
    import pandas as pd
    from scipy.special import expit

    from mlic.evaluation.label_issues import find_label_issues

    places = {name: row for row, name in enumerate(predictions.ids.tolist())}
    said = predictions.joined(labels.space, ["student"])[[places[i] for i in labels.ids.tolist()]]
    probabilities = expit(said)
    rows, columns, confidence = find_label_issues(probabilities, labels.states)
    return pd.DataFrame(
        {
            "id": labels.ids[rows],
            "split": split,
            "label": np.asarray(labels.space.names)[columns],
            "given": np.where(labels.states[rows, columns] == 1, "present", "absent"),
            "probability": 100 * probabilities[rows, columns],
            "self_confidence": 100 * confidence,
        }
    )


def show_images(
    predictions: Predictions, labels: LabelMatrix, label_issues: DataFrame, images: ImageStore
) -> dict[str, Any]:
    """Small images with what models say of them: some of the test split, and likely mislabelled.

    Raises
    ------
    DataError
        If an image is not in the store.
    """
    from mlic.report.cards import example_cards, issue_cards

    return {
        "examples": example_cards(predictions, labels.in_split("test"), images),
        "issues": issue_cards(label_issues, images),
    }
