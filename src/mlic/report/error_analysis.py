"""Tables of errors: of the models in pairs of labels, and of the annotation itself."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from mlic.distillation.targets import SoftTargets
from mlic.evaluation import error_analysis, label_issues
from mlic.evaluation.predictions import Predictions
from mlic.labels import PRESENT, LabelMatrix
from mlic.report.summary import ensemble_logits
from mlic.training.calibration import Calibration

__all__ = ["find_label_issues", "mean_odds", "tabulate_pair_errors"]

MAX_PAIRS = 100  # of each kind of error and model


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
    test: Predictions,
    learning: Predictions,
    targets: SoftTargets,
    calibration: Calibration,
    labels: LabelMatrix,
) -> pd.DataFrame:
    """Find annotated label states that the models of a run contradict, in all splits.

    Parameters
    ----------
    test
        Logits of all models for the test images.
    learning
        Logits of the student for the training and validation images.
    targets
        Logits of the teachers for the training images, which the student learned from.
    calibration
        Calibration of the student, whose link turns logits into log-odds.
    labels
        Annotated states of all images.

    Returns
    -------
    pandas.DataFrame
        Columns ``id``, ``split``, ``label``, ``given`` (``"present"`` or ``"absent"``),
        ``suggested``, and in percent ``probability`` of the label and ``error_probability``, the
        probability that the given state is wrong; the most probable error comes first.
    """
    odds = mean_odds(test, learning, targets, calibration, labels)
    rows, columns, wrong = label_issues.find_label_issues(odds, labels.states)
    is_present = labels.states[rows, columns] == PRESENT
    fitted = np.asarray(calibration.slopes) * odds + np.asarray(calibration.biases)
    return pd.DataFrame(
        {
            "id": labels.ids[rows],
            "split": labels.split[rows],
            "label": np.asarray(labels.space.names)[columns],
            "given": np.where(is_present, "present", "absent"),
            "suggested": np.where(is_present, "absent", "present"),
            "probability": 100 * expit(fitted[rows, columns]),
            "error_probability": 100 * wrong,
        }
    )


def mean_odds(
    test: Predictions,
    learning: Predictions,
    targets: SoftTargets,
    calibration: Calibration,
    labels: LabelMatrix,
) -> NDArray[np.float64]:
    """Mean log-odds over all models that know an image; shape (n, C).

    Several models contradict a wrong state more reliably than one. What they say of each image was
    computed for other purposes already.
    """
    row_of = {name: row for row, name in enumerate(labels.ids.tolist())}
    total, number = np.zeros(labels.states.shape), np.zeros(len(labels))
    ensembles = ensemble_logits(test, labels.in_split("test"))
    own = learning.joined(labels.space, ["student"])
    found = [(test.ids, logits) for logits in ensembles.values()] + [(learning.ids, own)]
    found += [
        (targets.ids, targets.read_view(strategy, view))
        for strategy, views in targets.values.items()
        for view in range(len(views))
    ]
    for ids, logits in found:
        rows = [row_of[name] for name in ids.tolist()]
        total[rows] += calibration.odds(logits)
        number[rows] += 1
    return total / np.maximum(number, 1)[:, None]
