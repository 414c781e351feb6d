"""Separate teachers: one node for each group of labels, and what it stores."""

import logging
from contextlib import nullcontext

import numpy as np
import pytest

from mlic.config.shape import RunShape
from mlic.errors import PartitionError
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.pipelines.teacher_training import create_pipeline
from mlic.pipelines.teacher_training.nodes import assign_all_labels, assign_groups, train_teacher
from mlic.tracking import trainings
from mlic.tracking.runs import TrainingRun
from mlic.training.distillation_options import TeacherOptions
from mlic.utils.seeds import derive_seed


@pytest.fixture
def partition(labels):
    return Partition(labels.space, "cgp", ((3, 0), (1, 2)))


@pytest.fixture
def group(partition):
    return assign_groups(partition, PartitionOptions(num_parts=2))[1]


def test_groups_name_their_labels_and_partition(partition, group):
    assert group == {
        "strategy": "cgp",
        "part": 1,
        "labels": ["green", "blue"],
        "partition": partition.fingerprint,
    }


@pytest.mark.parametrize("k", [1, 3])
def test_partition_with_another_number_of_parts_is_refused(partition, k):
    with pytest.raises(PartitionError, match="'cgp'"):
        assign_groups(partition, PartitionOptions(num_parts=k))


def test_nodes_are_in_the_namespaces_of_their_teachers():
    pipeline = create_pipeline(RunShape(strategies=("cgp",), num_parts=2, mode="separate"))
    nodes = {node.name: node for node in pipeline.nodes}
    teacher = nodes["teachers.cgp_0.train"]
    assert teacher.namespace == "teachers.cgp_0"
    assert set(teacher.outputs) == {"teachers.cgp_0.checkpoint", "teachers.cgp_0.logits"}
    own = {"teachers.cgp_0.group", "images", "labels", "store", "params:seed"}
    assert own <= set(teacher.inputs)
    groups = ["teachers.cgp_0.group", "teachers.cgp_1.group"]
    assert nodes["teachers.assign_groups_cgp"].outputs == groups


@pytest.fixture
def teach(group, images, labels, settings, tmp_path):
    def teach(**changes):
        common = {"group": group, "images": images, "labels": labels, "store": tmp_path}
        common |= {"teachers": TeacherOptions()}
        return train_teacher(**{**common, **settings, **changes})

    return teach


def test_teacher_learns_its_labels_on_all_training_images(teach, labels):
    checkpoint, logits = teach()
    assert checkpoint.info.name == "teachers.cgp_1" and checkpoint.info.role == "teacher"
    assert checkpoint.space.names == logits.space.names == ("green", "blue")
    assert len(checkpoint.info.history) == 2  # the epochs of its role
    assert logits.values.shape == (2, 24, 2)
    assert np.array_equal(logits.ids, labels.ids[labels.split == "train"])
    assert checkpoint.info.components["seed"] == [derive_seed(0, "teachers.cgp_1"), 0]
    assert checkpoint.info.components["provenance"]["strategy"] == "cgp"


@pytest.fixture
def no_training(monkeypatch):
    """After calling this, training and predicting are errors."""

    def never(*_, **__):
        raise AssertionError("computed again")

    def forbid(*names):
        for name in names:
            monkeypatch.setattr(name, never)

    return forbid


def test_finished_teacher_is_loaded(teach, no_training, caplog):
    first = teach()
    no_training("mlic.tracking.trainings.train", "mlic.training.predict.predict_views")
    caplog.set_level(logging.INFO, logger="mlic")
    again = teach()
    assert again[0].fingerprint == first[0].fingerprint
    assert np.array_equal(again[1].values, first[1].values)
    assert "checkpoint is up to date" in caplog.text and "logits is up to date" in caplog.text


def test_change_is_named_and_the_teacher_trained_again(teach, settings, caplog):
    first = teach()
    caplog.set_level(logging.INFO, logger="mlic")
    more = settings["training"].model_copy(update={"learning_rate": 0.02})
    again = teach(training=more)
    assert "training.learning_rate was 0.01, is 0.02" in caplog.text
    assert again[0].fingerprint != first[0].fingerprint


def test_deleted_logits_are_predicted_again_by_the_stored_teacher(teach, tmp_path, no_training):
    first = teach()
    (tmp_path / "teachers.cgp_1" / "logits.npy").unlink()
    no_training("mlic.tracking.trainings.train")
    again = teach()
    np.testing.assert_allclose(again[1].values, first[1].values, atol=1e-6)
    assert again[1].fingerprint == first[1].fingerprint


class RecordingRun(TrainingRun):
    """Remembers what is logged."""

    def __init__(self):
        self.epochs, self.files = [], []

    def log_epoch(self, epoch, metrics):
        self.epochs.append((epoch, set(metrics)))

    def log_file(self, path, folder):
        self.files.append((path, folder))


def test_run_logs_epochs_outcome_and_checkpoint(teach, monkeypatch, tmp_path):
    run, opened = RecordingRun(), []

    def open_run(*arguments):
        opened.append(arguments)
        return nullcontext(run)

    monkeypatch.setattr(trainings, "tracked_training", open_run)
    teach()
    ((name, components, tags, run_id),) = opened
    assert run_id is None  # nothing to continue
    assert name == "teachers.cgp_1" and components["training"]["epochs"] == 2
    assert tags["strategy"] == "cgp" and tags["part"] == "1" and tags["labels"] == "green, blue"
    *epochs, outcome = run.epochs
    assert [number for number, _ in epochs] == [1, 2]
    assert outcome[1] == {"seconds", "mAP.best_validation"}
    assert run.files == [(tmp_path / name / "checkpoint.safetensors", "checkpoint")]


def test_full_label_teachers_differ_only_by_their_seed(images, labels, settings, tmp_path):
    groups = assign_all_labels(labels, PartitionOptions(num_parts=9, num_full_label=2))
    common = {"images": images, "labels": labels, "teachers": TeacherOptions(), **settings}
    made = [train_teacher(group, store=tmp_path, **common) for group in groups]
    first, second = (checkpoint.info.components for checkpoint, _ in made)
    assert {key for key in first if first[key] != second[key]} == {"seed", "provenance"}
    assert first["provenance"] == {"strategy": "full_label", "part": 0}  # no partition
    assert all(logits.space == labels.space for _, logits in made)
    assert not np.allclose(made[0][1].values, made[1][1].values)


def test_full_label_teachers_are_wired_beside_those_of_parts():
    shape = RunShape(
        strategies=("cgp", "full_label"), num_parts=3, num_full_label=2, mode="separate"
    )
    nodes = {node.name: node for node in create_pipeline(shape).nodes}
    assign = nodes["teachers.assign_groups_full_label"]
    assert assign.inputs == ["labels", "params:partition"]
    assert assign.outputs == ["teachers.full_label_0.group", "teachers.full_label_1.group"]
    assert len([name for name in nodes if name.endswith(".train")]) == 5
