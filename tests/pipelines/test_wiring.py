"""What does not fit the wired teachers is refused before anything runs."""

import json

import pytest
from kedro.io import DataCatalog, MemoryDataset

from mlic.datasets.groups import GroupsDataset
from mlic.errors import DataError, PartitionError
from mlic.labels import LabelSpace
from mlic.labels.partition import user_partition
from mlic.pipelines import graph_partition, teacher_training
from mlic.pipelines.wiring import refuse_other_partitions

GROUPS = [["a", "b"], ["c"]]


@pytest.mark.parametrize("num_parts", [2, 3])
def test_a_partition_of_an_earlier_run(num_parts):
    catalog = DataCatalog()
    partition = user_partition(GROUPS, LabelSpace(tuple("abc")))
    catalog["partition_user"] = MemoryDataset(partition)
    pipeline = teacher_training.create_pipeline(("user", "plain"), num_parts, num_plain=4)
    if num_parts == 2:
        refuse_other_partitions(pipeline, num_parts, catalog)
        return
    with pytest.raises(PartitionError, match="2 parts but 3 teachers"):
        refuse_other_partitions(pipeline, num_parts, catalog)


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
