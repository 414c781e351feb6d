"""Joining the logits of all teachers, and training the student on them."""

import numpy as np
import pytest

from mlic.config.shape import RunShape
from mlic.errors import CheckpointError, DataError
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.pipelines import calibration
from mlic.pipelines.baseline_training.nodes import predict_teacher_logits, train_baseline
from mlic.pipelines.distillation import create_pipeline
from mlic.pipelines.distillation.nodes import average_student, join_logits, train_student
from mlic.pipelines.teacher_training.nodes import assign_groups, train_teacher
from mlic.training.distillation_options import AveragingOptions, DistillationOptions, TeacherOptions
from mlic.utils.seeds import derive_seed


@pytest.fixture
def inputs(images, labels, settings, tmp_path):
    """Everything that all training nodes take."""
    return {"images": images, "labels": labels, "store": tmp_path, **settings}


@pytest.fixture
def teach(inputs):
    def teach(group, **changes):
        return train_teacher(group, teachers=TeacherOptions(), **{**inputs, **changes})[1]

    return teach


@pytest.fixture
def written(labels, teach, tmp_path):
    """Logits of the four teachers of two partitions."""
    options, logits = PartitionOptions(num_parts=2), []
    for strategy, parts in (("cgp", ((0, 3), (1, 2))), ("dgp", ((2, 3), (0, 1)))):
        for group in assign_groups(Partition(labels.space, strategy, parts), options):
            logits.append(teach(group))
    return logits


def distil(targets, inputs, **changes):
    return train_student(targets, DistillationOptions(), **{**inputs, **changes})


def test_student_learns_all_labels_from_all_teachers(written, inputs, labels, tmp_path):
    targets = join_logits(labels, tmp_path, *written[::-1])
    assert targets.strategies == ["cgp", "dgp"] and len(targets.teachers) == 4
    for one in written:
        columns = labels.space.indices(one.space.names)
        assert np.array_equal(targets.values[one.strategy][:, :, columns], one.values)
    checkpoint = distil(targets, inputs)
    assert checkpoint.space == labels.space and checkpoint.info.name == "student"
    assert {"loss_hard", "loss_cgp", "loss_dgp"} <= set(checkpoint.info.history[0])
    assert checkpoint.info.components["targets"] == targets.fingerprint


def test_logits_of_teachers_with_other_views_are_not_joined(written, teach, labels, tmp_path):
    names = list(written[-1].space.names)
    group = {"strategy": "dgp", "part": 1, "labels": names, "partition": "p"}
    other_seed = teach(group, store=tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError):
        join_logits(labels, tmp_path, *written[:-1], other_seed)


def test_student_with_other_views_refuses_the_targets(written, inputs, labels, tmp_path):
    targets = join_logits(labels, tmp_path, *written)
    with pytest.raises(DataError):
        distil(targets, inputs, seed=1)


def test_baseline_teaches_beside_teachers_of_parts(written, inputs, labels, tmp_path):
    baseline = train_baseline(**inputs)
    logits = predict_teacher_logits(baseline, teachers=TeacherOptions(), **inputs)
    targets = join_logits(labels, tmp_path, *written, logits)
    assert targets.strategies == ["baseline", "cgp", "dgp"]
    assert targets.teachers["baseline"] == baseline.fingerprint
    assert set(targets.partitions) == {"cgp", "dgp"}
    assert np.array_equal(targets.values["baseline"], logits.values)
    checkpoint = distil(targets, inputs)
    assert {"loss_baseline", "loss_cgp", "loss_dgp"} <= set(checkpoint.info.history[0])


def test_student_starts_from_the_baseline_and_is_averaged_with_it(inputs, labels, tmp_path):
    baseline = train_baseline(**inputs)
    logits = predict_teacher_logits(baseline, teachers=TeacherOptions(), **inputs)
    targets = join_logits(labels, tmp_path, logits)
    student = train_student(targets, DistillationOptions(start="baseline"), **inputs)
    made_from = student.info.components
    assert made_from["seed"] == [derive_seed(0, "student"), 0]
    assert baseline.info.components["seed"][0] == made_from["start_seed"]
    assert distil(targets, inputs).info.components["start_seed"] is None
    own = {name: value for name, value in inputs.items() if name != "store"}
    averaging = AveragingOptions(enabled=True, images=16)
    found = average_student(baseline, student, averaging, **own)
    assert found.info.name == "student" and found.info.averaging.student == student.fingerprint


def test_student_with_spliced_images_learns_from_its_teachers_too(inputs, labels, tmp_path):
    baseline = train_baseline(**inputs)
    logits = predict_teacher_logits(baseline, teachers=TeacherOptions(), **inputs)
    targets = join_logits(labels, tmp_path, logits)
    splice = {"share": 0.5, "consistency": 1.0, "partners": "other_group"}
    training = inputs["training"].model_copy(update={"overrides": {"student": {"splice": splice}}})
    groups = Partition(labels.space, "cgp", ((0, 3), (1, 2)))
    checkpoint = distil(targets, inputs, training=training, splice_groups=groups)
    terms = {"loss_hard", "loss_cells", "loss_baseline"}
    assert terms <= set(checkpoint.info.history[0])


def test_averaged_student_takes_the_place_of_the_student():
    shape = RunShape(strategies=("cgp",), averaging=True)
    pipeline = create_pipeline(shape)
    assert pipeline.outputs() == {"averaged_student.checkpoint"}
    assert "averaged_student.checkpoint" in calibration.create_pipeline(shape).inputs()
    assert "student.checkpoint" not in calibration.create_pipeline(shape).inputs()
    plain = calibration.create_pipeline(RunShape(strategies=("cgp",)))
    assert "student.checkpoint" in plain.inputs() and plain.outputs() == {
        "baseline.model",
        "student.model",
    }


def test_logits_are_joined_in_the_order_of_the_parts():
    pipeline = create_pipeline(RunShape(strategies=("cgp",), num_parts=12))
    (join,) = [node for node in pipeline.nodes if node.name == "teachers.join_logits"]
    teachers = [f"teachers.cgp_{part}.logits" for part in range(12)]
    assert join.inputs == ["labels", "store", *teachers]
    assert pipeline.outputs() == {"student.checkpoint"}
    (student,) = [node for node in pipeline.nodes if "training" in node.tags]
    assert student.namespace == "student"


def test_logits_of_all_kinds_of_teachers_are_joined():
    strategies = ("dgp", "full_label", "baseline")
    shape = RunShape(strategies=strategies, num_parts=2, num_full_label=3)
    (join, *_) = create_pipeline(shape).only_nodes("teachers.join_logits").nodes
    names = ["dgp_0", "dgp_1", "full_label_0", "full_label_1", "full_label_2"]
    teachers = [f"teachers.{name}.logits" for name in names]
    assert join.inputs == ["labels", "store", "baseline.logits", *teachers]
