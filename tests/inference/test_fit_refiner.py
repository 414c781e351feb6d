"""Refiners are fitted to what a model says on validation images, with known labels if it can."""

import numpy as np
import pytest

from mlic.evaluation.refinement import draw_subsets, fit_strengths
from mlic.inference import fit_refiner
from mlic.inference.fit_refiner import add_refiner
from mlic.labels.statistics import count_labels
from mlic.training.predict import predict_checkpoint
from mlic.training.refiner import Refiner
from mlic.training.train import make_task, train
from mlic.utils.seeds import derive_seed

C_TRAN = {"head": "c_tran", "head_options": {"width": 8, "layers": 1, "heads": 2, "dropout": 0}}


@pytest.fixture(params=["linear", "c_tran"])
def job(request, make_job):
    job = make_job()
    if request.param == "linear":
        return job
    return make_job(model=job.model.model_copy(update=C_TRAN))


def test_strengths_are_fitted_to_the_models_own_answers(job, images, labels):
    checkpoint = train(make_task(job))[0]
    calibration, own = checkpoint.calibration, labels.in_split("validation")
    rows, options = images.rows(own.ids), job.options
    logits = predict_checkpoint(checkpoint, images, rows, options)
    found = add_refiner(checkpoint, calibration, logits, images, labels, options).refiner
    parts = []
    for known in draw_subsets(own.states, np.random.default_rng(derive_seed(0, "refiner"))):
        informed = known.astype(np.int8) if job.model.head == "c_tran" else None
        answers = predict_checkpoint(checkpoint, images, rows, options, informed)
        parts.append((calibration.odds(answers), known))
    statistics = count_labels(labels.in_split("train").states, labels.space)
    losses = {}
    for shrinkage in (1.0, 3.0, 10.0):
        plain = Refiner.from_statistics(statistics, shrinkage)
        present, absent, loss = fit_strengths(parts, own.states, plain.influence)
        losses.setdefault(loss, (shrinkage, present, absent))  # of equals the smallest
    assert found is not None
    best = losses[min(losses)]
    assert (found.shrinkage, found.present, found.absent) == pytest.approx(best)


def test_very_many_labels_get_none(make_job, images, labels, monkeypatch):
    checkpoint = train(make_task(make_job()))[0]
    monkeypatch.setattr(fit_refiner, "MOST_LABELS", 3)
    calibration, options = checkpoint.calibration, make_job().options
    logits = np.zeros((len(labels.rows("validation")), 4), np.float32)
    assert add_refiner(checkpoint, calibration, logits, images, labels, options) is calibration
