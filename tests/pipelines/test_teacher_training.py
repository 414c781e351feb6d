"""Teachers: one node a group, and what it keeps."""

import logging

import numpy as np
import pytest

from mlic.errors import PartitionError
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.pipelines.teacher_training import create_pipeline
from mlic.pipelines.teacher_training.nodes import assign_all_labels, assign_groups, train_teacher
from mlic.tracking import trainings as training_run
from mlic.training import fit as loop
from mlic.training.options import TeacherOptions
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
def test_another_k_than_is_wired_is_refused(partition, k):
    with pytest.raises(PartitionError, match=f"has 2 parts but {k} teachers are wired"):
        assign_groups(partition, PartitionOptions(num_parts=k))


def test_nodes_live_in_their_namespaces():
    pipeline = create_pipeline(("cgp",), 2)
    nodes = {node.name: node for node in pipeline.nodes}
    teacher = nodes["teachers.cgp_0.train"]
    assert teacher.namespace == "teachers.cgp_0"
    assert set(teacher.outputs) == {"teachers.cgp_0.checkpoint", "teachers.cgp_0.logits"}
    own = {"teachers.cgp_0.group", "images", "labels", "store", "params:seed"}
    assert own <= set(teacher.inputs)
    groups = ["teachers.cgp_0.group", "teachers.cgp_1.group"]
    assert nodes["graph_partition.assign_groups_cgp"].outputs == groups


@pytest.fixture
def teach(group, images, labels, settings, tmp_path):
    def teach(**changes):
        common = {"group": group, "images": images, "labels": labels, "store": tmp_path}
        common |= {"teachers": TeacherOptions()}
        return train_teacher(**{**common, **settings, **changes})

    return teach


def test_a_teacher_learns_its_labels_on_all_training_images(teach, labels):
    checkpoint, logits = teach()
    assert checkpoint.info.name == "teachers.cgp_1" and checkpoint.info.role == "teacher"
    assert checkpoint.space.names == logits.space.names == ("green", "blue")
    assert len(checkpoint.info.history) == 2  # its own epochs
    assert logits.values.shape == (2, 24, 2)
    assert np.array_equal(logits.ids, labels.ids[labels.split == "train"])
    assert checkpoint.info.components["seed"] == [derive_seed(0, "teachers.cgp_1"), 0]
    assert checkpoint.info.components["provenance"]["strategy"] == "cgp"


def test_a_second_time_nothing_is_computed(teach, monkeypatch, caplog):
    first = teach()

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(loop, "train", never)
    monkeypatch.setattr("mlic.training.predict.predict_logits", never)
    caplog.set_level(logging.INFO, logger="mlic")
    again = teach()
    assert again[0].fingerprint == first[0].fingerprint
    assert np.array_equal(again[1].values, first[1].values)
    assert "checkpoint is up to date" in caplog.text and "logits is up to date" in caplog.text


def test_what_changed_is_named_and_trained_anew(teach, settings, caplog):
    first = teach()
    caplog.set_level(logging.INFO, logger="mlic")
    more = settings["training"].model_copy(update={"learning_rate": 0.02})
    again = teach(training=more)
    assert "training.learning_rate was 0.01, is 0.02" in caplog.text
    assert again[0].fingerprint != first[0].fingerprint


def test_lost_logits_are_written_again_by_the_same_teacher(teach, tmp_path, monkeypatch):
    first = teach()
    (tmp_path / "teachers.cgp_1" / "logits.npy").unlink()
    monkeypatch.setattr(loop, "train", None)
    again = teach()
    np.testing.assert_allclose(again[1].values, first[1].values, atol=1e-6)
    assert again[1].fingerprint == first[1].fingerprint


def test_the_run_is_told_and_gets_the_file(teach, monkeypatch, tmp_path):
    told = []

    class Run:
        def __init__(self, *about):
            told.append(about)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def report(self, epoch, figures):
            told.append((epoch, *figures))

        def attach(self, path, folder):
            told.append((path, folder))

    monkeypatch.setattr(training_run, "tracked_training", Run)
    teach()
    (name, components, tags), *epochs, attached, outcome = told
    assert name == "teachers.cgp_1" and components["training"]["epochs"] == 2
    assert tags["strategy"] == "cgp" and tags["part"] == "1" and tags["labels"] == "green, blue"
    assert [number for number, *_ in epochs] == [1, 2]
    assert outcome[1:] == ("seconds", "best_validation_mAP")
    assert attached == (tmp_path / name / "checkpoint.safetensors", "checkpoint")


def test_plain_teachers_differ_by_their_seed_alone(images, labels, settings, tmp_path):
    groups = assign_all_labels(labels, PartitionOptions(num_parts=9, num_full_label=2))
    common = {"images": images, "labels": labels, "teachers": TeacherOptions(), **settings}
    made = [train_teacher(group, store=tmp_path, **common) for group in groups]
    first, second = (checkpoint.info.components for checkpoint, _ in made)
    assert {key for key in first if first[key] != second[key]} == {"seed", "provenance"}
    assert first["provenance"] == {"strategy": "full_label", "part": 0}  # no partition made it
    assert all(logits.space == labels.space for _, logits in made)
    assert not np.allclose(made[0][1].values, made[1][1].values)


def test_plain_teachers_are_wired_beside_the_groups():
    nodes = {
        node.name: node
        for node in create_pipeline(("cgp", "full_label"), 3, num_full_label=2).nodes
    }
    assign = nodes["graph_partition.assign_all_labels"]
    assert assign.inputs == ["labels", "params:partition"]
    assert assign.outputs == ["teachers.full_label_0.group", "teachers.full_label_1.group"]
    assert len([name for name in nodes if name.endswith(".train")]) == 5
