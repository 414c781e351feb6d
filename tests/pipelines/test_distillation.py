import numpy as np
import pytest

from mlic.errors import CheckpointError, DataError
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.pipelines.baseline_training.nodes import predict_teacher_logits, train_baseline
from mlic.pipelines.distillation import create_pipeline
from mlic.pipelines.distillation.nodes import join_logits, train_student
from mlic.pipelines.teacher_training.nodes import assign_groups, train_teacher
from mlic.training.options import DistillationOptions, TeacherOptions


@pytest.fixture
def written(images, labels, settings, tmp_path):
    """Logits of the four teachers of two partitions."""
    options, logits = PartitionOptions(num_parts=2), []
    for strategy, parts in (("cgp", ((0, 3), (1, 2))), ("dgp", ((2, 3), (0, 1)))):
        for group in assign_groups(Partition(labels.space, strategy, parts), options):
            store = tmp_path / f"{strategy}_{group['part']}"
            given = {**settings, "store": store, "teachers": TeacherOptions()}
            _, one = train_teacher(group, images, labels, **given)
            logits.append(one)
    return logits


def student(images, labels, targets, settings, folder, **changes):
    given = {**settings, "distillation": DistillationOptions(), **changes}
    return train_student(images, labels, targets, store=folder, **given)


def test_the_student_is_of_all_labels_and_of_its_teachers(
    written, images, labels, settings, tmp_path
):
    targets = join_logits(labels, tmp_path, *written[::-1])
    assert targets.strategies == ["cgp", "dgp"] and len(targets.teachers) == 4
    for one in written:
        strategy = one.teacher.removeprefix("teachers.")[:3]
        columns = labels.space.indices(one.space.names)
        assert np.array_equal(targets.values[strategy][:, :, columns], one.values)
    checkpoint = student(images, labels, targets, settings, tmp_path)
    assert checkpoint.space == labels.space and checkpoint.info.name == "student"
    assert {"loss_hard", "loss_cgp", "loss_dgp"} <= set(checkpoint.info.history[0])
    assert checkpoint.info.components["targets"] == targets.fingerprint


def test_teachers_of_two_seeds_do_not_mix(written, images, labels, settings, tmp_path):
    group = {"strategy": "dgp", "part": 1, "labels": ["red", "green"], "partition": "p"}
    one = written[-1]
    if set(one.space.names) != set(group["labels"]):
        group["labels"] = list(one.space.names)
    given = {**settings, "store": tmp_path / "odd", "teachers": TeacherOptions(), "seed": 1}
    _, odd = train_teacher(group, images, labels, **given)
    with pytest.raises(CheckpointError, match="other images or views"):
        join_logits(labels, tmp_path, *written[:-1], odd)


def test_a_student_of_another_seed_sees_other_views(written, images, labels, settings, tmp_path):
    targets = join_logits(labels, tmp_path, *written)
    with pytest.raises(DataError, match="other views"):
        student(images, labels, targets, settings, tmp_path, seed=1)


def test_a_baseline_teaches_beside_groups(written, images, labels, settings, tmp_path):
    given = {**settings, "store": tmp_path}
    baseline = train_baseline(images, labels, **given)
    told = predict_teacher_logits(baseline, images, labels, **given, teachers=TeacherOptions())
    targets = join_logits(labels, tmp_path, *written, told)
    assert targets.strategies == ["baseline", "cgp", "dgp"]
    assert targets.teachers["baseline"] == baseline.fingerprint
    assert set(targets.partitions) == {"cgp", "dgp"}
    assert np.array_equal(targets.values["baseline"], told.values)
    checkpoint = student(images, labels, targets, settings, tmp_path)
    assert {"loss_baseline", "loss_cgp", "loss_dgp"} <= set(checkpoint.info.history[0])


def test_wiring():
    pipeline = create_pipeline(("cgp",), 12)
    join = next(node for node in pipeline.nodes if node.name == "teachers.join_logits")
    assert join.inputs == [
        "labels",
        "store",
        *(f"teachers.cgp_{i}.logits" for i in range(12)),
    ]
    assert pipeline.outputs() == {"student.checkpoint"}
    assert next(n for n in pipeline.nodes if "training" in n.tags).namespace == "student"


def test_plain_teachers_are_joined_too():
    pipeline = create_pipeline(("dgp", "full_label"), 2, num_full_label=3)
    (join,) = [node for node in pipeline.nodes if node.name == "teachers.join_logits"]
    names = ["dgp_0", "dgp_1", "full_label_0", "full_label_1", "full_label_2"]
    assert join.inputs == [
        "labels",
        "store",
        *(f"teachers.{name}.logits" for name in names),
    ]
