"""Tables of errors: of the models in pairs of labels, and of the annotation itself."""

import numpy as np
import pandas as pd
from scipy.special import expit

from mlic.evaluation import error_analysis, label_issues
from mlic.evaluation.predictions import Predictions
from mlic.labels import PRESENT, LabelMatrix

__all__ = ["find_label_issues", "tabulate_pair_errors"]

MAX_PAIRS = 100  # of each kind of error and model
MAX_ISSUES = 1000


def tabulate_pair_errors(predictions: Predictions, test: LabelMatrix) -> pd.DataFrame:
    """Tabulate pairs of labels that baseline or student predict together wrongly, or confuse.

    The columns are ``first`` and ``second``, the names of the labels, and the counts of
    `mlic.evaluation.error_analysis.pair_errors`; the largest error comes first.
    """
    # As many predictions per label as there are positives: the errors do not depend on calibration.
    claims = {
        model: error_analysis.predict_as_many(predictions.joined(test.space, [model]), test.states)
        for model in ("baseline", "student")
    }
    columns = error_analysis.pair_errors(claims, test.states, MAX_PAIRS)
    names = np.asarray(test.space.names)
    return pd.DataFrame(columns).assign(**{k: names[columns[k]] for k in ("first", "second")})


def find_label_issues(
    test: Predictions, learning: Predictions, labels: LabelMatrix
) -> pd.DataFrame:
    """Find annotated label states that the student contradicts confidently, in all splits.

    ``test`` has the student's logits for the test images, ``learning`` those for the training and
    validation images; ``labels`` has the annotated states of all images.

    Returns
    -------
    pandas.DataFrame
        Columns ``id``, ``split``, ``label``, ``given`` (``"present"`` or ``"absent"``), and in
        percent ``probability`` of the label and ``self_confidence``, the probability of the
        annotated state; lowest self-confidence first.
    """
    # Each split has separate thresholds: the student is more confident on training images.
    source = {"test": test, "train": learning, "validation": learning}
    found = [_issues(labels.in_split(split), split, source[split]) for split in source]
    issues = pd.concat(found).sort_values("self_confidence", kind="stable")
    return issues[:MAX_ISSUES].reset_index(drop=True)


def _issues(labels: LabelMatrix, split: str, predictions: Predictions) -> pd.DataFrame:
    """Find the issues of one split."""
    # One set of predictions has the images of two splits, training and validation.
    row_of = {name: row for row, name in enumerate(predictions.ids.tolist())}
    logits = predictions.joined(labels.space, ["student"])[[row_of[i] for i in labels.ids.tolist()]]
    probabilities = expit(logits)
    rows, columns, confidence = label_issues.find_label_issues(probabilities, labels.states)
    return pd.DataFrame(
        {
            "id": labels.ids[rows],
            "split": split,
            "label": np.asarray(labels.space.names)[columns],
            "given": np.where(labels.states[rows, columns] == PRESENT, "present", "absent"),
            "probability": 100 * probabilities[rows, columns],
            "self_confidence": 100 * confidence,
        }
    )
