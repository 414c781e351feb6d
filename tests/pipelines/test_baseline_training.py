import numpy as np
import pytest

from mlic.labels.options import PartitionOptions
from mlic.pipelines.baseline_training import create_pipeline
from mlic.pipelines.baseline_training.nodes import (
    predict_teacher_logits,
    train_baseline,
    train_budget_matched_baseline,
)
from mlic.training.options import TeacherOptions
from mlic.training.predict import predict_checkpoint


def test_the_baseline_is_of_all_labels_and_without_teachers(images, labels, settings, tmp_path):
    checkpoint = train_baseline(images, labels, store=tmp_path, **settings)
    info = checkpoint.info
    assert (info.name, info.role, checkpoint.space) == ("baseline", "baseline", labels.space)
    assert info.components["targets"] is None and info.components["distillation"] is None
    assert set(info.history[0]) & {"loss", "loss_hard"} and len(info.history) == 1
    again = train_baseline(images, labels, store=tmp_path, **settings)
    assert again.info == info  # its seconds too: it was loaded


def test_the_baseline_tells_what_it_says_of_every_view(images, labels, settings, tmp_path):
    checkpoint = train_baseline(images, labels, store=tmp_path, **settings)
    given = {**settings, "store": tmp_path, "teachers": TeacherOptions(targets="float32")}
    logits = predict_teacher_logits(checkpoint, images, labels, **given)
    views, rows = settings["training"].augmentation.views, labels.rows("train")
    assert (
        logits.values.shape == (views, len(rows), len(labels.space))
        and logits.space == labels.space
    )
    assert (logits.strategy, logits.teacher) == ("baseline", "baseline")
    assert (logits.fingerprint, logits.partition) == (checkpoint.fingerprint, None)
    whole = predict_checkpoint(checkpoint, images, rows, settings["training"])
    for view in logits.values:  # crops of the same images: close to what it says of them whole
        assert np.corrcoef(view.ravel(), whole.ravel())[0, 1] > 0.5
    path = logits.folder / "logits.npy"
    kept = path.stat().st_mtime_ns
    predict_teacher_logits(checkpoint, images, labels, **given)
    assert path.stat().st_mtime_ns == kept


@pytest.mark.parametrize("teaches", [False, True])
def test_the_baseline_teaches_when_asked_to(teaches):
    pipeline = create_pipeline(teaches=teaches)
    assert ("baseline.logits" in pipeline.outputs()) is teaches
    assert pipeline.inputs() >= ({"params:teachers"} if teaches else set())
    assert [node.name for node in pipeline.nodes if "training" in node.tags] == ["baseline.train"]


def test_wiring():
    pipeline = create_pipeline()
    assert pipeline.outputs() == {"baseline.checkpoint"}
    assert pipeline.inputs() >= {"images", "labels", "store", "params:model"}
    (node,) = pipeline.nodes
    assert node.namespace == "baseline" and "training" in node.tags


def test_the_longer_baseline_has_the_budget_of_all_trainings(images, labels, settings, tmp_path):
    common = {"images": images, "labels": labels, **settings}
    short = train_baseline(store=tmp_path / "baseline", **common)
    options = PartitionOptions(strategies="full_label", num_parts=7, num_full_label=1)
    longer = train_budget_matched_baseline(
        partition=options,
        teachers=TeacherOptions(),
        store=tmp_path / "budget_matched_baseline",
        **common,
    )
    # one teacher of two epochs, its two views without a way back, a student of one epoch
    assert len(longer.info.history) == round(2 + 2 / 3 + 1) == 4 > len(short.info.history)
    assert (longer.info.name, longer.info.role) == ("budget_matched_baseline", "baseline")
    ours, theirs = longer.info.components, short.info.components
    assert {key for key in ours if ours[key] != theirs[key]} == {"training", "seed"}
    assert ours["training"] == {**theirs["training"], "epochs": 4}


def test_the_longer_baseline_is_wired_when_asked_for():
    assert not [n for n in create_pipeline().nodes if n.namespace == "budget_matched_baseline"]
    pipeline = create_pipeline(longer=True)
    assert pipeline.outputs() == {"baseline.checkpoint", "budget_matched_baseline.checkpoint"}
    (longer,) = [node for node in pipeline.nodes if node.namespace == "budget_matched_baseline"]
    assert longer.name == "budget_matched_baseline.train" and "training" in longer.tags
    assert {"images", "labels", "store", "params:partition"} < set(longer.inputs)
