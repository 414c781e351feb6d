import json

import pytest

from mlic.datasets.base import DatasetDataError
from mlic.datasets.groups import GroupsDataset


@pytest.mark.parametrize("groups", [[["a"], ["b", "ü"]], {"one": ["a"], "two": ["b"]}])
def test_both_ways_to_write_groups_are_read(tmp_path, groups):
    path = tmp_path / "groups.json"
    path.write_text(json.dumps(groups, ensure_ascii=False), encoding="utf-8")
    dataset = GroupsDataset(str(path))
    assert dataset.load() == groups and dataset.exists()
    assert json.loads(dataset.preview()) == groups


@pytest.mark.parametrize("text", ['"a"', "3", "null", '["a", "b"]', '{"one": "a"}', "[[1]]"])
def test_other_content_is_refused_with_an_example(tmp_path, text):
    path = tmp_path / "groups.json"
    path.write_text(text)
    with pytest.raises(DatasetDataError, match="dog"):
        GroupsDataset(str(path)).load()


def test_missing_or_damaged_file_and_saving_are_refused(tmp_path):
    path = tmp_path / "groups.json"
    dataset = GroupsDataset(str(path))
    with pytest.raises(DatasetDataError, match="--params user_groups=") as absent:
        dataset.load()
    assert "Failed while loading" not in str(absent.value)
    path.write_text("[[")
    with pytest.raises(DatasetDataError, match=r"groups\.json"):
        dataset.load()
    with pytest.raises(DatasetDataError):
        dataset.save([])
    assert path.read_text() == "[["
