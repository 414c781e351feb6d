"""What is skipped: what make would skip, with content in place of time stamps."""

import json
import os
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner as KedroRunner

from mlic.caching.content_state import _fingerprint
from mlic.errors import DataError
from mlic.runners import SequentialRunner
from mlic.runners.node_cache import NodeCache, filter_stale_nodes, take_stale_nodes

CALLS = []


def add(name, *numbers):
    """Add without the last digit, so that some changes of inputs change no output."""
    CALLS.append(name)
    return sum(numbers) // 10


def node(name, inputs, output):
    return Node(_Add(name), inputs, output, name=name)


class _Add:
    """A function that knows the name of its node; Kedro requires functions to have names."""

    def __init__(self, name):
        self.name, self.__name__, self.__qualname__ = name, name, name

    def __call__(self, *numbers):
        return add(self.name, *numbers)


CHAIN = Pipeline(
    [
        node("first", ["a", "params:x"], "b"),
        node("second", ["b"], "c"),
        node("third", ["c", "e"], "d"),
    ]
)


class Project:
    """A folder with data; every run builds its own catalog."""

    def __init__(self, folder, **entries):
        self.folder, self.values, self.entries = folder, {"x": 0}, entries

    def catalog(self, records=True):
        names = [*"abcde", *(f"v{i}" for i in range(8))]
        config = {name: self.entry(name) for name in names} | self.entries
        if records:
            place = str(self.folder / "records")
            config["node_records"] = {"type": "mlic.datasets.DirectoryDataset", "filepath": place}
        catalog = DataCatalog.from_config(config)
        for name, value in self.values.items():
            catalog[f"params:{name}"] = value
        return catalog

    def entry(self, name, **options):
        path = str(self.folder / f"{name}.json")
        return {"type": "json.JSONDataset", "filepath": path, **options}

    def write(self, **numbers):
        for name, number in numbers.items():
            (self.folder / f"{name}.json").write_text(json.dumps(number))

    def read(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def run(self, pipeline=CHAIN, runner=SequentialRunner, **options):
        time.sleep(0.005)  # files written within one tick of the clock have the same state
        CALLS.clear()
        runner().run(pipeline, self.catalog(**options))
        return list(CALLS)

    def stale(self, pipeline=CHAIN):
        return [node.name for node in filter_stale_nodes(pipeline, self.catalog()).nodes]


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    project.write(a=100, e=1000)
    return project


ALL = ["first", "second", "third"]


def test_second_run_runs_nothing(project):
    assert project.stale() == project.run() == ALL
    assert project.stale() == project.run() == []


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        ({"a": 200}, ALL),  # 20, 2, 100: another sum everywhere
        ({"a": 109}, ["first"]),  # the same sum
        ({"a": 110}, ["first", "second"]),  # 11 is 1 again
        ({"e": 1100}, ["third"]),
        ({"b": 99}, ["first"]),  # an overwritten output is made again, and is as before
    ],
)
def test_change_runs_the_nodes_that_it_reaches(project, change, runs):
    project.run()
    project.write(**change)
    assert project.run() == runs
    assert project.run() == []


def test_a_run_of_some_nodes_refuses_data_that_another_node_did_not_write(project):
    project.run()
    project.write(c=5)
    with pytest.raises(DataError) as error:
        project.run(CHAIN.only_nodes("third"))
    assert error.value.fields == {"path": project.folder / "c.json", "name": "c"}
    assert "second" in str(error.value) and CALLS == []
    # the cure that the message names
    (project.folder / "c.json").rename(project.folder / "away")
    assert project.run() == ["second"]
    assert project.run(CHAIN.only_nodes("third")) == []


def test_data_that_changed_without_a_trace_are_refused(project):
    """Neither size nor time of change show what a disk has damaged."""
    project.run()
    file = project.folder / "c.json"
    before = file.stat()
    file.write_text("7")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    project.write(e=1100)
    _fingerprint.cache_clear()  # as in another process
    with pytest.raises(DataError) as error:
        project.run()
    assert error.value.fields["path"] == file


def test_a_damaged_record_is_as_good_as_none(project):
    """Another content in it must not make good data look damaged."""
    project.run()
    record = project.folder / "records/second.json"
    content = json.loads(record.read_text())
    content["written"]["c"][1] = "0123456789abcdef"
    record.write_text(json.dumps(content))
    project.write(e=1100)
    assert project.run() == ["second", "third"] and project.run() == []


def test_of_two_nodes_that_write_the_same_data_the_last_counts(project):
    project.run()
    other = node("other", ["e"], "c")
    third = CHAIN.only_nodes("third")
    assert project.run(Pipeline([other]) + third) == ["other", "third"]
    project.write(e=2000)
    assert project.run(third) == ["third"]


def test_stale_nodes_include_all_nodes_after_a_change(project):
    project.run()
    project.write(a=109)
    assert project.stale() == ALL
    project.write(a=100, e=7)
    assert project.stale() == ["third"]


def test_parameter_counts_for_the_nodes_that_read_it(project):
    project.run()
    project.values["x"] = 7
    assert project.run() == ["first"]
    assert project.run() == []


def test_file_that_a_parameter_names_counts(project, tmp_path):
    weights = tmp_path / "weights.bin"
    weights.write_text("1")
    project.values["files"] = {"weights": str(weights), "depth": 2}
    reads = Pipeline([Node(_ignore_second, ["a", "params:files"], "b", name="train")])
    first = project.run(reads)
    assert not project.run(reads)
    weights.write_text("22")
    assert project.run(reads) == first == ["train"]


def _ignore_second(number, options):
    CALLS.append("train")
    return number


@pytest.mark.parametrize("name", ["b", "d"])
def test_deleted_output_is_made_again(project, name):
    project.run()
    (project.folder / f"{name}.json").unlink()
    assert project.run() == [{"b": "first", "d": "third"}[name]]


def test_entry_of_the_catalog_counts(project):
    project.run()
    project.entries["c"] = project.entry("c", save_args={"indent": 4}, metadata={"layer": "x"})
    assert project.stale() == ["second", "third"]
    project.run()
    project.entries["c"]["metadata"] = {"layer": "y"}
    assert not project.stale()


def test_data_that_lie_on_no_disk_are_made_each_time(project):
    project.entries["b"] = {"type": "MemoryDataset"}
    assert project.run() == ALL
    assert project.run() == ["first", "second"]
    project.entries["b"] = project.entry("versions", versioned=True)
    project.run()
    assert project.run() == ["first", "second"]


def test_without_an_entry_for_records_everything_runs(project):
    for _ in range(2):
        assert project.run(records=False) == ALL
    assert not (project.folder / "records").exists()


def test_kedros_own_runner_runs_everything_and_changes_no_record(project):
    project.run()
    assert project.run(runner=KedroRunner) == ALL
    assert project.stale() == []
    project.write(a=200)
    project.run(runner=KedroRunner)
    assert project.stale() == ALL


def test_damaged_record_counts_as_none(project):
    project.run()
    (project.folder / "records/second.json").write_text('{"b": ')
    (project.folder / "records/third.json").write_text("[]")
    assert project.stale() == ["second", "third"]
    assert project.run() == ["second", "third"]


def test_node_that_fails_leaves_no_record_and_runs_again(project, caplog):
    project.run()
    project.write(a="none", e=2000)
    with pytest.raises(TypeError):
        project.run()
    assert "the same command continues" in caplog.text
    project.write(a=200)
    assert project.run() == ALL


def test_reasons_for_running_again_are_logged(project, caplog):
    project.run()
    project.values["x"] = 50
    (project.folder / "d.json").unlink()
    with caplog.at_level("INFO", "mlic.runners"):
        project.run()
    for reason in (
        "first runs again: params:x changed",
        "third runs again: d is missing",
        "second runs again: b changed",
    ):
        assert reason in caplog.messages


def test_folder_of_a_store_counts_as_output_of_its_node(tmp_path):
    project = Project(tmp_path)
    project.entries["store"] = {
        "type": "mlic.datasets.DirectoryDataset",
        "filepath": str(tmp_path / "store"),
    }
    project.entries["model.checkpoint"] = project.entry("model")
    project.write(a=1)
    train = Pipeline([Node(_fill, ["a", "store"], "model.checkpoint", name="train")])
    assert project.run(train) == ["train"]
    assert not project.run(train)
    (tmp_path / "store/another").write_text("of another training")
    assert not project.run(train)
    (tmp_path / "store/model/weights").write_text("overwritten")
    assert project.run(train) == ["train"]
    shutil.rmtree(tmp_path / "store")
    assert project.run(train) == ["train"]
    assert not project.run(train)


def _fill(number, folder):
    CALLS.append("train")
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model/weights").write_text(str(number))
    return number


def test_input_that_changes_while_its_node_runs_is_noticed(project):
    def slow(number):
        project.write(a=5)  # somebody edits what has been read already
        return number

    pipeline = Pipeline([Node(slow, "a", "b", name="slow")])
    catalog = project.catalog()
    SequentialRunner().run(pipeline, catalog)
    assert NodeCache(project.catalog()).why_stale(pipeline.nodes[0]) == "a changed"


def test_moved_project_is_up_to_date_and_its_data_are_as_written(tmp_path):
    first, moved = Project(tmp_path / "there"), Project(tmp_path / "moved" / "here")
    first.folder.mkdir()
    first.write(a=100, e=1000)
    assert first.run() == ALL
    shutil.copytree(first.folder, moved.folder)
    shutil.rmtree(first.folder)
    assert moved.stale() == moved.run() == []
    moved.write(e=70)
    # of the last node alone, the inputs must be recognised
    assert moved.run(CHAIN.filter(node_names=["third"])) == ["third"]
    moved.write(c=99)
    with pytest.raises(DataError):
        moved.run(CHAIN.filter(node_names=["third"]))


def test_code_change_counts(project, monkeypatch):
    project.run()
    monkeypatch.setattr(
        "mlic.caching.code_version.SourceTree.version", lambda *_: "another version"
    )
    assert project.stale() == ALL


def test_stale_nodes_are_computed_once_for_hook_and_runner(project, monkeypatch):
    project.run()
    project.write(e=7)
    catalog = project.catalog()
    announced = filter_stale_nodes(CHAIN, catalog, run_id="run 1")
    assert [node.name for node in announced.nodes] == ["third"]
    with monkeypatch.context() as context:
        context.setattr(
            "mlic.runners.skip_unchanged.filter_stale_nodes",
            lambda *_: pytest.fail("computed again"),
        )
        CALLS.clear()
        SequentialRunner().run(CHAIN, catalog, run_id="run 1")
    assert CALLS == ["third"]
    assert take_stale_nodes("run 1") is None and take_stale_nodes(None) is None


def test_stale_nodes_of_another_run_are_not_taken(project):
    project.run()
    filter_stale_nodes(CHAIN, project.catalog(), run_id="run 1")
    project.write(e=7)
    CALLS.clear()
    SequentialRunner().run(CHAIN, project.catalog(), run_id="run 2")
    assert CALLS == ["third"]


def graphs():
    """Nodes that each read one or two of the names before theirs, three of which are files."""
    pairs = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=5)
    return pairs.map(
        lambda reads: Pipeline(
            [
                node(f"n{i}", sorted({f"v{a % (i + 3)}", f"v{b % (i + 3)}"}), f"v{i + 3}")
                for i, (a, b) in enumerate(reads)
            ]
        )
    )


EDITS = st.lists(st.dictionaries(st.sampled_from(["v0", "v1", "v2"]), st.integers(0, 300)))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pipeline=graphs(), edits=EDITS)
def test_any_graph_after_any_edits_is_as_if_made_from_scratch(tmp_path_factory, pipeline, edits):
    """The oracle reads no time stamp: a node runs if what it read last was of another content."""
    project = Project(tmp_path_factory.mktemp("graph"))
    files, read = {"v0": 0, "v1": 0, "v2": 0}, {}
    for edit in [files, *edits]:
        files |= edit
        project.write(**edit)
        values, expected = dict(files), []
        for each in pipeline.nodes:
            given = [values[name] for name in each.inputs]
            values[each.outputs[0]] = sum(given) // 10
            if read.get(each.name) != given:
                expected.append(each.name)
            read[each.name] = given
        assert sorted(project.run(pipeline)) == sorted(expected)
        assert {name: project.read(name) for name in values if name in pipeline.datasets()} == {
            name: value for name, value in values.items() if name in pipeline.datasets()
        }
