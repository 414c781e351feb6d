"""The baseline, its logits as a teacher, and the baseline with the whole budget."""

import numpy as np
import pytest

from mlic.config.shape import RunShape
from mlic.labels.options import PartitionOptions
from mlic.pipelines.baseline_training import create_pipeline
from mlic.pipelines.baseline_training.nodes import (
    predict_teacher_logits,
    train_baseline,
    train_budget_matched_baseline,
)
from mlic.training.distillation_options import TeacherOptions
from mlic.training.predict import predict_checkpoint


@pytest.fixture
def inputs(images, labels, settings, tmp_path):
    """Everything that all training nodes take."""
    return {"images": images, "labels": labels, "store": tmp_path, **settings}


def test_baseline_learns_all_labels_without_teachers(inputs, labels):
    checkpoint = train_baseline(**inputs)
    info = checkpoint.info
    assert (info.name, info.role, checkpoint.space) == ("baseline", "baseline", labels.space)
    assert info.components["targets"] is None and info.components["distillation"] is None
    assert {"loss", "loss_hard"} <= set(info.history[0]) and len(info.history) == 1
    again = train_baseline(**inputs)
    assert again.info == info  # it was loaded: its duration is the same too


def test_baseline_predicts_logits_of_every_view(inputs, images, labels, settings):
    checkpoint = train_baseline(**inputs)
    given = {**inputs, "teachers": TeacherOptions(targets="float32")}
    logits = predict_teacher_logits(checkpoint, **given)
    views, rows = settings["training"].augmentation.views, labels.rows("train")
    assert logits.values.shape == (views, len(rows), len(labels.space))
    assert logits.space == labels.space
    assert (logits.strategy, logits.teacher) == ("baseline", "baseline")
    assert (logits.fingerprint, logits.partition) == (checkpoint.fingerprint, None)
    whole = predict_checkpoint(checkpoint, images, rows, settings["training"])
    for view in logits.values:  # crops of the same images: close to the logits of whole images
        assert np.corrcoef(view.ravel(), whole.ravel())[0, 1] > 0.5
    path = logits.folder / "logits.npy"
    written = path.stat().st_mtime_ns
    predict_teacher_logits(checkpoint, **given)
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("teaches", [False, True])
def test_logits_of_the_baseline_are_wired_if_it_teaches(teaches):
    strategies = ("baseline", "cgp") if teaches else ("cgp",)
    pipeline = create_pipeline(RunShape(strategies=strategies))
    assert ("baseline.logits" in pipeline.outputs()) is teaches
    assert pipeline.inputs() >= ({"params:teachers"} if teaches else set())
    assert [node.name for node in pipeline.nodes if "training" in node.tags] == ["baseline.train"]


def test_baseline_alone_is_one_node():
    pipeline = create_pipeline(RunShape(strategies=("cgp",)))
    assert pipeline.outputs() == {"baseline.checkpoint"}
    assert pipeline.inputs() >= {"images", "labels", "store", "params:model"}
    (node,) = pipeline.nodes
    assert node.namespace == "baseline" and "training" in node.tags


def test_budget_matched_baseline_has_the_budget_of_all_trainings(inputs):
    baseline = train_baseline(**inputs)
    options = PartitionOptions(strategies="full_label", num_parts=7, num_full_label=1)
    matched = train_budget_matched_baseline(partition=options, teachers=TeacherOptions(), **inputs)
    # one teacher of two epochs, forward passes of its two views, and a student of one epoch
    assert len(matched.info.history) == round(2 + 2 / 3 + 1) == 4 > len(baseline.info.history)
    assert (matched.info.name, matched.info.role) == ("budget_matched_baseline", "baseline")
    ours, theirs = matched.info.components, baseline.info.components
    assert {key for key in ours if ours[key] != theirs[key]} == {"training", "seed"}
    assert ours["training"] == {**theirs["training"], "epochs": 4}


def test_budget_matched_baseline_is_wired_on_request():
    namespace = "budget_matched_baseline"
    without = create_pipeline(RunShape(strategies=("cgp",)))
    assert not [node for node in without.nodes if node.namespace == namespace]
    shape = RunShape(strategies=("cgp",), budget_matched_baseline=True)
    pipeline = create_pipeline(shape)
    assert pipeline.outputs() == {"baseline.checkpoint", f"{namespace}.checkpoint"}
    (node,) = [node for node in pipeline.nodes if node.namespace == namespace]
    assert node.name == f"{namespace}.train" and "training" in node.tags
    assert {"images", "labels", "store", "params:partition"} < set(node.inputs)
