"""Stored data that do not fit the teachers are refused before anything runs."""

import json

import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset

from mlic.config.shape import RunShape
from mlic.datasets.groups import GroupsDataset
from mlic.distillation.joining import assemble_targets
from mlic.distillation.targets import TeacherLogits
from mlic.errors import CheckpointError, DataError, ParameterError, PartitionError
from mlic.hooks.checks import check_devices, check_partitions, check_targets
from mlic.labels import LabelSpace
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import user_partition
from mlic.pipelines import distillation, graph_partition, teacher_training
from mlic.pipelines.teacher_training.nodes import assign_groups
from mlic.training.options import TrainingOptions

GROUPS = [["a", "b"], ["c"]]


def user_shape(num_parts, *strategies):
    return RunShape(
        strategies=("user", *strategies), num_parts=num_parts, num_full_label=4, mode="separate"
    )


@pytest.mark.parametrize("where", [{"devices": 5}, {"overrides": {"student": {"devices": 5}}}])
def test_more_devices_than_there_are_are_refused(where, monkeypatch):
    common = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    monkeypatch.setattr("mlic.training.launch._count_devices", lambda: (4, "GPUs"))
    check_devices(TrainingOptions(**common, devices=4))
    with pytest.raises(ParameterError) as caught:
        check_devices(TrainingOptions(**{**common, **where}))
    assert caught.value.fields == {"parameter": "training.devices", "value": 5, "found": 4}


@pytest.mark.parametrize("num_parts", [2, 3])
def test_partition_of_an_earlier_run_must_have_the_parts_of_the_teachers(num_parts):
    catalog = DataCatalog()
    partition = user_partition(GROUPS, LabelSpace(tuple("abc")))
    catalog["partition_user"] = MemoryDataset(partition)
    shape = user_shape(num_parts, "full_label")
    pipeline = teacher_training.create_pipeline(shape)
    if num_parts == 2:
        check_partitions(pipeline, num_parts, catalog)
        return
    with pytest.raises(PartitionError, match="'user'"):
        check_partitions(pipeline, num_parts, catalog)


def test_groups_of_an_earlier_run_must_belong_to_the_stored_partition():
    space = LabelSpace(tuple("abc"))
    partition, catalog = user_partition(GROUPS, space), DataCatalog()
    for part, group in enumerate(assign_groups(partition, PartitionOptions(num_parts=2))):
        catalog[f"teachers.user_{part}.group"] = MemoryDataset(group)
    whole = teacher_training.create_pipeline(user_shape(2))
    alone = whole.filter(tags=["training"])
    check_partitions(alone, 2, catalog)
    catalog["partition_user"] = MemoryDataset(partition)
    check_partitions(alone, 2, catalog)
    with pytest.raises(PartitionError, match="'user'"):
        check_partitions(alone, 1, catalog)
    catalog["partition_user"] = MemoryDataset(user_partition([["a"], ["b", "c"]], space))
    with pytest.raises(CheckpointError) as caught:
        check_partitions(alone, 2, catalog)
    assert caught.value.fields == {"name": "teachers.user_0.group", "strategy": "user"}
    check_partitions(whole, 2, catalog)


def test_groups_of_the_user_must_be_as_many_as_the_teachers(tmp_path):
    catalog, pipeline = DataCatalog(), graph_partition.create_pipeline(user_shape(2))
    catalog["user_groups"] = GroupsDataset(str(tmp_path / "groups.json"))
    with pytest.raises(DataError, match=r"groups\.json"):
        check_partitions(pipeline, 2, catalog)
    (tmp_path / "groups.json").write_text(json.dumps(GROUPS))
    check_partitions(pipeline, 2, catalog)
    with pytest.raises(PartitionError) as caught:
        check_partitions(pipeline, 3, catalog)
    assert caught.value.fields == {"found": 2, "expected": 3}
    check_partitions(graph_partition.create_pipeline(RunShape(strategies=("cgp",))), 3, catalog)


SPACE = LabelSpace(tuple("abc"))
PARTITION = user_partition(GROUPS, SPACE)
OTHER = user_partition([["a"], ["b", "c"]], SPACE)


def logits(part, weights="w"):
    space = LabelSpace(tuple(GROUPS[part]))
    values = np.zeros((1, 2, len(space)), np.float16)
    ids, name = np.array(["p", "q"]), f"teachers.user_{part}"
    return TeacherLogits(name, space, ids, values, {}, weights, PARTITION.fingerprint)


@pytest.fixture
def stored():
    """Make a catalog of what an earlier run wrote, with other values for some entries."""

    def make(**changes):
        targets = assemble_targets(SPACE, {"user": [logits(0), logits(1)]})
        entries = {"partition_user": PARTITION, "soft_targets": targets}
        entries |= {f"teachers.user_{part}.logits": logits(part) for part in (0, 1)}
        catalog = DataCatalog()
        for name, value in {**entries, **changes}.items():
            catalog[name] = MemoryDataset(value)
        return catalog

    return make


JOIN = distillation.create_pipeline(user_shape(2))
STUDENT = JOIN.only_nodes("student.train")


@pytest.mark.parametrize("pipeline", [JOIN, STUDENT])
def test_targets_that_fit_are_accepted(stored, pipeline):
    check_partitions(pipeline, 2, stored())


@pytest.mark.parametrize("pipeline", [JOIN, STUDENT])
def test_targets_of_another_partition_are_refused(stored, pipeline):
    with pytest.raises(CheckpointError) as caught:
        check_partitions(pipeline, 2, stored(partition_user=OTHER))
    assert caught.value.fields["strategy"] == "user"


def test_targets_of_other_teachers_are_refused(stored):
    catalog = stored(**{"teachers.user_1.logits": logits(1, "retrained")})
    for check in (check_targets, lambda *arguments: check_partitions(arguments[0], 2, catalog)):
        with pytest.raises(CheckpointError) as caught:
            check(STUDENT, catalog)
        assert caught.value.fields == {"name": "teachers.user_1"}
    check_partitions(JOIN, 2, catalog)  # joins the logits again


def test_run_that_makes_the_targets_again_is_not_refused(stored):
    whole = teacher_training.create_pipeline(user_shape(2)) + JOIN
    check_partitions(whole, 2, stored(partition_user=OTHER))
