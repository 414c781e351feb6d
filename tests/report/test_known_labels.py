"""What known labels are worth to the models of a run."""

import numpy as np
import pytest

from mlic.errors import DataError
from mlic.evaluation.known_labels import LEVELS, LabelMasks
from mlic.evaluation.metrics import mean_average_precision
from mlic.inference.calibrate import calibrate_checkpoint
from mlic.inference.options import CalibrationOptions
from mlic.report.known_labels import measure_interventions, score_known_labels
from mlic.report.tables import intervention_table, known_label_table
from mlic.training.predict import predict_checkpoint
from mlic.training.train import make_task, train
from tests.report.example import page_of, summary_of

C_TRAN = {"head": "c_tran", "head_options": {"width": 8, "layers": 1, "heads": 2, "dropout": 0}}


@pytest.fixture(params=["linear", "c_tran"])
def model(request, make_job, images, labels):
    job = make_job()
    if request.param == "c_tran":
        job = make_job(model=job.model.model_copy(update=C_TRAN))
    trained = train(make_task(job))[0]
    return calibrate_checkpoint(trained, images, labels, job.options, CalibrationOptions())


@pytest.fixture
def held_out(labels):
    # every label is present in some of these images and absent in others, whatever is known
    return labels.in_split("train")


def test_scores_are_those_of_predictions_with_known_labels(model, images, held_out, settings):
    masks = LabelMasks.draw(held_out.ids, held_out.space, 0)
    found = score_known_labels([model], images, held_out, masks, settings["training"])
    assert list(found["baseline"]) == [str(level) for level in LEVELS]
    rows, scored = images.rows(held_out.ids), masks.scored(held_out.states)
    known = masks.known(held_out.states, 75)
    given = known if model.info.model.head == "c_tran" else None
    logits = predict_checkpoint(model, images, rows, settings["training"], given)
    probabilities = model.calibration.probabilities(logits, known)
    expected = 100 * mean_average_precision(probabilities, scored)
    assert found["baseline"]["75"] == pytest.approx(expected)


@pytest.mark.parametrize("model", ["linear"], indirect=True)
def test_models_without_use_for_known_labels_are_left_out(model, images, held_out, settings):
    plain = model.with_calibration(model.calibration.model_copy(update={"refiner": None}))
    masks = LabelMasks.draw(held_out.ids, held_out.space, 0)
    training = settings["training"]
    assert score_known_labels([plain], images, held_out, masks, training) == {}
    assert measure_interventions(plain, images, held_out, training) == []


def test_masks_of_other_images_are_refused(model, images, held_out, settings):
    masks = LabelMasks.draw(held_out.ids[:-1], held_out.space, 0)
    with pytest.raises(DataError):
        score_known_labels([model], images, held_out, masks, settings["training"])


def test_interventions_name_the_largest_changes_of_other_labels(model, images, held_out, settings):
    rows = measure_interventions(model, images, held_out, settings["training"])
    counts = (held_out.states == 1).sum(axis=0)
    assert rows[0]["label"] == held_out.space.names[int(np.argmax(counts))]
    for row in rows:
        for direction, sign in (("rises", 1), ("falls", -1)):
            changes = [sign * change for _, change in row[direction]]
            assert changes == sorted(changes, reverse=True) and all(c > 0 for c in changes)
            assert row["label"] not in [name for name, _ in row[direction]]


def test_page_shows_scores_and_interventions_only_if_there_are_some():
    known = {
        "scores": {"student": {"0": 60.0, "50": 66.04}},
        "interventions": [{"label": "sea", "rises": [["boat", 7.04]], "falls": []}],
    }
    table = known_label_table(known, summary_of())
    assert table is not None and table.rows == [["Student", "60.0", "66.0"]]
    changes = intervention_table(known)
    assert changes is not None and changes.rows == [["sea", "boat +7.0", "–"]]
    captions = [one.caption for one in (table, changes)]
    assert set(captions) <= page_of(known_label_scores=known).tables.keys()
    none = page_of(known_label_scores={"scores": {}, "interventions": []})
    assert none.tables.keys().isdisjoint(captions)
