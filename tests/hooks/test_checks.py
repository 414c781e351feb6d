"""What does not fit the wired teachers is refused before anything runs."""

import json

import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset

from mlic.datasets.groups import GroupsDataset
from mlic.distillation.joining import assemble_targets
from mlic.distillation.targets import TeacherLogits
from mlic.errors import CheckpointError, DataError, PartitionError
from mlic.hooks.checks import refuse_other_partitions
from mlic.labels import LabelSpace
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import user_partition
from mlic.pipelines import distillation, graph_partition, teacher_training
from mlic.pipelines.teacher_training.nodes import assign_groups

GROUPS = [["a", "b"], ["c"]]


@pytest.mark.parametrize("num_parts", [2, 3])
def test_a_partition_of_an_earlier_run(num_parts):
    catalog = DataCatalog()
    partition = user_partition(GROUPS, LabelSpace(tuple("abc")))
    catalog["partition_user"] = MemoryDataset(partition)
    pipeline = teacher_training.create_pipeline(("user", "full_label"), num_parts, num_full_label=4)
    if num_parts == 2:
        refuse_other_partitions(pipeline, num_parts, catalog)
        return
    with pytest.raises(PartitionError, match="2 parts but 3 teachers"):
        refuse_other_partitions(pipeline, num_parts, catalog)


def test_groups_that_teachers_were_given_before():
    space = LabelSpace(tuple("abc"))
    partition, catalog = user_partition(GROUPS, space), DataCatalog()
    for part, group in enumerate(assign_groups(partition, PartitionOptions(num_parts=2))):
        catalog[f"teachers.user_{part}.group"] = MemoryDataset(group)
    whole = teacher_training.create_pipeline(("user",), 2)
    alone = whole.only_nodes_with_namespaces(["teachers"])
    refuse_other_partitions(alone, 2, catalog)
    catalog["partition_user"] = MemoryDataset(partition)
    refuse_other_partitions(alone, 2, catalog)
    with pytest.raises(PartitionError, match="2 parts but 1 teachers"):
        refuse_other_partitions(alone, 1, catalog)
    catalog["partition_user"] = MemoryDataset(user_partition([["a"], ["b", "c"]], space))
    with pytest.raises(CheckpointError, match=r"user_0\.group belongs to another partition_user"):
        refuse_other_partitions(alone, 2, catalog)
    refuse_other_partitions(whole, 2, catalog)


def test_groups_by_hand(tmp_path):
    catalog, pipeline = DataCatalog(), graph_partition.create_pipeline(("user",))
    catalog["user_groups"] = GroupsDataset(str(tmp_path / "groups.json"))
    with pytest.raises(DataError, match=r"no file of groups .*groups\.json"):
        refuse_other_partitions(pipeline, 2, catalog)
    (tmp_path / "groups.json").write_text(json.dumps(GROUPS))
    refuse_other_partitions(pipeline, 2, catalog)
    with pytest.raises(PartitionError, match=r"2 groups but 3 teachers.*num_parts to 2"):
        refuse_other_partitions(pipeline, 3, catalog)
    refuse_other_partitions(graph_partition.create_pipeline(("cgp",)), 3, catalog)


SPACE = LabelSpace(tuple("abc"))
PARTITION = user_partition(GROUPS, SPACE)
OTHER = user_partition([["a"], ["b", "c"]], SPACE)


def logits(part, weights="w"):
    space = LabelSpace(tuple(GROUPS[part]))
    values = np.zeros((1, 2, len(space)), np.float16)
    ids, name = np.array(["p", "q"]), f"teachers.user_{part}"
    return TeacherLogits(name, space, ids, values, {}, weights, PARTITION.fingerprint)


@pytest.fixture
def left_behind():
    """A catalog of what an earlier run left, parts of it replaced."""

    def left_behind(**changes):
        targets = assemble_targets(SPACE, {"user": [logits(0), logits(1)]})
        entries = {"partition_user": PARTITION, "soft_targets": targets}
        entries |= {f"teachers.user_{part}.logits": logits(part) for part in (0, 1)}
        catalog = DataCatalog()
        for name, value in {**entries, **changes}.items():
            catalog[name] = MemoryDataset(value)
        return catalog

    return left_behind


JOIN = distillation.create_pipeline(("user",), 2)
STUDENT = JOIN.only_nodes("student.train")


@pytest.mark.parametrize("pipeline", [JOIN, STUDENT])
def test_targets_that_fit_are_taken(left_behind, pipeline):
    refuse_other_partitions(pipeline, 2, left_behind())


@pytest.mark.parametrize("pipeline", [JOIN, STUDENT])
def test_targets_of_another_partition_are_refused(left_behind, pipeline):
    with pytest.raises(CheckpointError, match="another partition_user than the one at hand"):
        refuse_other_partitions(pipeline, 2, left_behind(partition_user=OTHER))


def test_targets_of_other_teachers_are_refused(left_behind):
    again = left_behind(**{"teachers.user_1.logits": logits(1, "retrained")})
    with pytest.raises(CheckpointError, match=r"another teachers\.user_1 than the one at hand"):
        refuse_other_partitions(STUDENT, 2, again)
    refuse_other_partitions(JOIN, 2, again)  # which joins them anew


def test_a_run_that_makes_them_anew_is_not_refused(left_behind):
    whole = teacher_training.create_pipeline(("user",), 2) + JOIN
    refuse_other_partitions(whole, 2, left_behind(partition_user=OTHER))
