"""Calibrators and rules for thresholds, and their figures on test images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from calibration_study.logits import Logits
from mlic.evaluation.calibration import calibration_metrics
from mlic.evaluation.decisions import decision_metrics
from mlic.evaluation.thresholds import choose_thresholds
from mlic.inference.calibrate import calibrate

Array = NDArray[np.float64]
# Maps validation logits, validation states and test logits to probabilities of both.
Calibrator = Callable[[Logits], tuple[Array, Array]]
FIGURES = {
    "ECE": "ECE",
    "ECE_equal_count": "ECE, equal count",
    "log_loss": "log-loss",
    "CF1": "CF1",
    "macro_F1": "macro F1",
    "OF1": "OF1",
    "exact_match": "exact match",
    "predicted_labels": "labels predicted",
    "present_labels": "labels present",
}


def sigmoid(found: Logits) -> tuple[Array, Array]:
    """The logit's own sigmoid, as models are used without calibration."""
    return expit(found.logits["validation"]), expit(found.logits["test"])


def _ours(fit: str) -> Calibrator:
    def fitted(found: Logits) -> tuple[Array, Array]:
        validation, states = found.logits["validation"], found.states["validation"]
        options = {"loss": found.loss.name, "loss_options": found.loss.options}
        given = None if fit == "link" else states
        made = calibrate(validation, given, fit="none" if fit == "link" else fit, **options)  # type: ignore[arg-type]
        return made.probabilities(validation), made.probabilities(found.logits["test"])  # type: ignore[return-value]

    return fitted


def platt_global(found: Logits) -> tuple[Array, Array]:
    """One logistic regression on the logits of all cells, by scikit-learn."""
    z, y = found.logits["validation"], found.states["validation"]
    known = y >= 0
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(z[known][:, None], y[known])
    return tuple(  # type: ignore[return-value]
        model.predict_proba(found.logits[split].reshape(-1, 1))[:, 1].reshape(-1, z.shape[1])
        for split in ("validation", "test")
    )


def platt_per_label(found: Logits) -> tuple[Array, Array]:
    """A logistic regression for each label, by scikit-learn."""
    return _per_label(found, lambda z, y: _platt(LogisticRegression(max_iter=1000).fit(z, y)))


def _platt(model: LogisticRegression) -> Callable[[Array], Array]:
    return lambda z: model.predict_proba(z[:, None])[:, 1]


def isotonic_per_label(found: Logits) -> tuple[Array, Array]:
    """An isotonic regression for each label, by scikit-learn."""
    return _per_label(
        found,
        lambda z, y: (
            IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(z[:, 0], y).predict
        ),
    )


def _per_label(
    found: Logits, fit: Callable[[Array, NDArray[np.int8]], Callable[[Array], Array]]
) -> tuple[Array, Array]:
    """Fit each label that has both states on validation; the others keep the global regression."""
    results = [one.copy() for one in platt_global(found)]
    z, y = found.logits["validation"].astype(np.float64), found.states["validation"]
    for label in range(z.shape[1]):
        known = y[:, label] >= 0
        if len(np.unique(y[known, label])) == 2:
            predict = fit(z[known, label][:, None], y[known, label])
            for result, split in zip(results, ("validation", "test"), strict=True):
                result[:, label] = predict(found.logits[split][:, label].astype(np.float64))
    return results[0], results[1]


CALIBRATORS: dict[str, Calibrator] = {
    "sigmoid": sigmoid,
    "link": _ours("link"),
    "link + fit": _ours("auto"),
    "Platt, global (scikit-learn)": platt_global,
    "Platt, per label (scikit-learn)": platt_per_label,
    "isotonic, per label (scikit-learn)": isotonic_per_label,
}
METHODS = (  # calibrator, rule of the thresholds
    ("sigmoid", "0.5"),
    ("sigmoid", "global_f1"),
    ("sigmoid", "tuned_f1"),
    ("link", "0.5"),
    ("link", "expected_f1"),
    ("link + fit", "expected_f1"),
    ("link + fit", "tuned_f1"),
    ("link + fit", "global_f1"),
    ("Platt, global (scikit-learn)", "0.5"),
    ("Platt, per label (scikit-learn)", "0.5"),
    ("isotonic, per label (scikit-learn)", "0.5"),
)


def measure(found: Logits) -> list[dict[str, object]]:
    """Figures of every method on the test images of one model."""
    rows, states = [], found.states["test"]
    probabilities = {name: calibrator(found) for name, calibrator in CALIBRATORS.items()}
    for name, rule in METHODS:
        validation, test = probabilities[name]
        thresholds = (
            np.full(states.shape[1], 0.5)
            if rule == "0.5"
            else choose_thresholds(validation, found.states["validation"], rule)
        )
        figures = calibration_metrics(test, states)
        figures |= decision_metrics(test >= thresholds, states)
        rows.append(
            {"dataset": found.dataset, "model": found.model, "calibration": name}
            | {"thresholds": rule, "seed": found.seed}
            | {shown: figures[key] for key, shown in FIGURES.items()}
        )
    return rows
