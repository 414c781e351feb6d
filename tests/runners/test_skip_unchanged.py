"""What is left out: as make would, with content in place of time stamps."""

import json
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner as KedroRunner

from mlic.runners import SequentialRunner
from mlic.runners.node_cache import NodeCache, filter_stale_nodes

CALLS = []


def add(name, *numbers):
    """Sums are kept without their last digit, so that some changes come to nothing."""
    CALLS.append(name)
    return sum(numbers) // 10


def node(name, inputs, output):
    return Node(_Add(name), inputs, output, name=name)


class _Add:
    """A function that knows its node's name; Kedro wants one with a name of its own."""

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
    """A catalog in a folder, made anew for every run."""

    def __init__(self, folder, **entries):
        self.folder, self.values, self.entries = folder, {"x": 0}, entries

    def catalog(self, records=True):
        names = [*"abcde", *(f"v{i}" for i in range(8))]
        kept = {name: self.kept(name) for name in names}
        config = kept | self.entries
        if records:
            place = str(self.folder / "records")
            config["node_records"] = {"type": "mlic.datasets.DirectoryDataset", "filepath": place}
        catalog = DataCatalog.from_config(config)
        for name, value in self.values.items():
            catalog[f"params:{name}"] = value
        return catalog

    def kept(self, name, **options):
        path = str(self.folder / f"{name}.json")
        return {"type": "json.JSONDataset", "filepath": path, **options}

    def write(self, **numbers):
        for name, number in numbers.items():
            (self.folder / f"{name}.json").write_text(json.dumps(number))

    def read(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def run(self, pipeline=CHAIN, runner=SequentialRunner, **options):
        time.sleep(0.005)  # files written within one tick of the clock look alike
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


def test_a_second_run_makes_nothing(project):
    assert project.stale() == project.run() == ALL
    assert project.stale() == project.run() == []


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        ({"a": 200}, ALL),  # 20, 2, 100: another sum everywhere
        ({"a": 109}, ["first"]),  # comes to nothing at once
        ({"a": 110}, ["first", "second"]),  # 11 is 1 again
        ({"e": 1100}, ["third"]),
        ({"b": 99}, ["first"]),  # an output that somebody overwrote is made again, and is as it was
    ],
)
def test_a_change_runs_what_it_reaches(project, change, runs):
    project.run()
    project.write(**change)
    assert project.run() == runs
    assert project.run() == []


def test_what_may_run_is_told_before(project):
    project.run()
    project.write(a=109)
    assert project.stale() == ALL
    project.write(a=100, e=7)
    assert project.stale() == ["third"]


def test_parameters_count_for_those_who_read_them(project):
    project.run()
    project.values["x"] = 7
    assert project.run() == ["first"]
    assert project.run() == []


def test_a_file_that_a_parameter_names_counts(project, tmp_path):
    weights = tmp_path / "weights.bin"
    weights.write_text("1")
    project.values["model"] = {"weights": str(weights), "depth": 2}
    reads = Pipeline([Node(_ignore_second, ["a", "params:model"], "b", name="train")])
    first = project.run(reads)
    assert not project.run(reads)
    weights.write_text("22")
    assert project.run(reads) == first == ["train"]


def _ignore_second(number, options):
    CALLS.append("train")
    return number


@pytest.mark.parametrize("name", ["b", "d"])
def test_deleting_an_output_makes_it_again(project, name):
    project.run()
    (project.folder / f"{name}.json").unlink()
    assert project.run() == [{"b": "first", "d": "third"}[name]]


def test_the_catalogs_entry_counts(project):
    project.run()
    project.entries["c"] = project.kept("c", save_args={"indent": 4}, metadata={"layer": "x"})
    assert project.stale() == ["second", "third"]
    project.run()
    project.entries["c"]["metadata"] = {"layer": "y"}
    assert not project.stale()


def test_what_is_kept_nowhere_is_made_each_time(project):
    project.entries["b"] = {"type": "MemoryDataset"}
    assert project.run() == ALL
    assert project.run() == ["first", "second"]
    project.entries["b"] = project.kept("versions", versioned=True)
    project.run()
    assert project.run() == ["first", "second"]


def test_without_an_entry_for_records_everything_runs(project):
    for _ in range(2):
        assert project.run(records=False) == ALL
    assert not (project.folder / "records").exists()


def test_kedros_own_runner_runs_everything_and_harms_no_record(project):
    project.run()
    assert project.run(runner=KedroRunner) == ALL
    assert project.stale() == []
    project.write(a=200)
    project.run(runner=KedroRunner)
    assert project.stale() == ALL


def test_a_damaged_record_is_none(project):
    project.run()
    (project.folder / "records/second.json").write_text('{"b": ')
    (project.folder / "records/third.json").write_text("[]")
    assert project.stale() == ["second", "third"]
    assert project.run() == ["second", "third"]


def test_a_node_that_fails_leaves_no_record_and_is_run_again(project, caplog):
    project.run()
    project.write(a="none", e=2000)
    with pytest.raises(TypeError):
        project.run()
    assert "the same command goes on" in caplog.text
    project.write(a=200)
    assert project.run() == ALL


def test_why_a_node_runs_again_is_told(project, caplog):
    project.run()
    project.values["x"] = 50
    (project.folder / "d.json").unlink()
    with caplog.at_level("INFO", "mlic.runners"):
        project.run()
    told = "\n".join(caplog.messages)
    assert "first runs again: params:x changed" in told
    assert "third runs again: d is missing" in told
    assert "second runs again: b changed" in told


def test_a_store_counts_as_what_its_node_made(tmp_path):
    project = Project(tmp_path)
    project.entries["store"] = {
        "type": "mlic.datasets.DirectoryDataset",
        "filepath": str(tmp_path / "store"),
    }
    project.entries["model.checkpoint"] = project.kept("model")
    project.write(a=1)
    train = Pipeline([Node(_fill, ["a", "store"], "model.checkpoint", name="train")])
    assert project.run(train) == ["train"]
    assert not project.run(train)
    (tmp_path / "store/another").write_text("of another training")
    assert not project.run(train)
    (tmp_path / "store/model/weights").write_text("spoilt")
    assert project.run(train) == ["train"]
    shutil.rmtree(tmp_path / "store")
    assert project.run(train) == ["train"]
    assert not project.run(train)


def _fill(number, folder):
    CALLS.append("train")
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model/weights").write_text(str(number))
    return number


def test_what_changes_while_a_node_runs_is_noticed_afterwards(project):
    def slow(number):
        project.write(a=5)  # somebody edits what has been read already
        return number

    pipeline = Pipeline([Node(slow, "a", "b", name="slow")])
    catalog = project.catalog()
    SequentialRunner().run(pipeline, catalog)
    assert NodeCache(project.catalog()).reason(pipeline.nodes[0]) == "a changed"


def test_a_code_change_counts(project, monkeypatch):
    project.run()
    monkeypatch.setattr("mlic.runners.node_cache.code_version", lambda text: "another")
    assert project.stale() == ALL


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
def test_any_graph_after_any_edits_is_as_if_made_from_nothing(tmp_path_factory, pipeline, edits):
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
