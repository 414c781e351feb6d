"""Whole runs: the demo end to end, again, in another shape, and interrupted by bad input."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner as KedroRunner

from mlic.errors import DataError, ParameterError, PartitionError, TrainingError
from mlic.labels import LabelSpace
from mlic.labels.partition import user_partition
from mlic.runners import ParallelRunner, SequentialRunner

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "../shared/data"
SUFFIXES = (".safetensors", ".npy")
TINY = {
    "synthetic": {"num_images": 160, "size": 32},
    "data": {"image_size": 32, "validation_fraction": 0.2, "test_fraction": 0.3},
    "model": {"backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8}},
    "training": {"epochs": 1, "threads": 1, "augmentation": {"views": 2}},
    "partition": {"num_parts": 2},
    "teachers": {"mode": "separate"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project's configuration, where runs leave their files."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    (folder / "src").mkdir()
    return folder


def run(project, env=None, pipelines=None, namespaces=None, runner=None, **parameters):
    """`kedro run`, whose runner skips what is up to date, unless another runner is given."""
    bootstrap_project(project)
    # Kedro-Viz writes the figures of a run to .viz of the working directory's project
    session = KedroSession.create(project, env=env, runtime_params=parameters)
    with contextlib.chdir(project), session:
        session.run(
            pipeline_names=pipelines,
            namespaces=namespaces,
            runner=runner or SequentialRunner(),
        )


def summary(project):
    return json.loads((project / "data/08_reporting/base/summary.json").read_text())


def figures(project):
    return {name: summary(project)[name] for name in ("baseline", "teachers", "student", "data")}


def tracked(project, query):
    with sqlite3.connect(project / "mlflow.db") as database:
        return database.execute(query).fetchall()


@pytest.fixture(scope="module")
def first_run(project):
    run(project, **TINY)
    return figures(project)


def test_summary_holds_every_figure(project, first_run):
    document = summary(project)
    assert set(document) >= {"data", "partitions", "baseline", "teachers", "student", "seconds"}
    assert set(document["partitions"]) == set(document["teachers"]) == {"cgp", "dgp"}
    for model in (document["baseline"], document["student"], *document["teachers"].values()):
        assert {"mAP", "CF1", "OF1"} <= model.keys() and 0 < model["mAP"] <= 100
    sizes = document["data"]["images"]
    assert sum(sizes.values()) == 160 and abs(sizes["test"] - 48) <= 4
    assert "<table" in (project / "data/08_reporting/base/report.html").read_text()


def test_each_training_is_a_child_run_of_the_pipelines_run(project, first_run):
    names = dict(tracked(project, "select name, status from runs"))
    children = tracked(project, "select count(*) from tags where key = 'mlflow.parentRunId'")
    expected = {f"teachers.{s}_{part}" for s in ("cgp", "dgp") for part in (0, 1)}
    assert {"baseline", "student", *expected} < set(names)
    assert set(names.values()) == {"FINISHED"} and children == [(6,)]


def test_kedro_viz_shows_a_run_of_which_nothing_had_to_run(project, first_run):
    (project / ".viz/kedro_pipeline_events.json").unlink()
    run(project, **TINY)
    events = json.loads((project / ".viz/kedro_pipeline_events.json").read_text())
    nodes = [event["node"] for event in events if event["event"] == "after_node_run"]
    assert {"baseline.train", "student.train", "reporting.write_report"} <= set(nodes)


def test_second_run_runs_nothing(project, first_run, caplog, capsys):
    before = tracked(project, "select count(*) from runs")
    states = {path: path.stat().st_mtime_ns for path in (project / "data").rglob("*")}
    run(project, **TINY)
    assert "Everything is up to date" in caplog.text and "Running node" not in caplog.text
    assert "Student" in capsys.readouterr().out  # in the results table
    assert states == {path: path.stat().st_mtime_ns for path in (project / "data").rglob("*")}
    assert tracked(project, "select count(*) from runs") == before


def execute(notebook):
    """Run a notebook's cells; what they leave behind."""
    names = {}
    for cell in json.loads((ROOT / "notebooks" / notebook).read_text())["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None, "stored outputs"
            exec(compile("".join(cell["source"]), notebook, "exec"), names)
    return names


def test_notebooks_tell_what_the_run_left(project, first_run, monkeypatch):
    monkeypatch.chdir(project)
    labels = execute("labels_and_groups.ipynb")
    stored = json.loads((project / "data/04_feature/base/graph_cgp.json").read_text())
    assert {node["id"] for node in stored["nodes"]} == set(labels["names"])
    runs = execute("compare_runs.ipynb")
    gain = first_run["student"]["mAP"] - first_run["baseline"]["mAP"]
    assert runs["table"]["mAP.gain"].iloc[0] == pytest.approx(gain, abs=1e-3)
    assert runs["precision"]["gain"].mean() == pytest.approx(gain, abs=0.02)
    trained = {
        "baseline",
        "student",
        *(f"teachers.{s}_{i}" for s in ("cgp", "dgp") for i in (0, 1)),
    }
    assert {point["training"] for point in runs["points"]} == trained


def test_trainings_are_loaded_under_kedros_own_runner(project, first_run, caplog):
    before = tracked(project, "select count(*) from runs")
    train = ["baseline_training", "teacher_training", "distillation"]
    run(project, pipelines=train, runner=KedroRunner(), **TINY)
    assert sum("checkpoint is up to date" in record.message for record in caplog.records) == 6
    assert tracked(project, "select count(*) from runs") == before


def test_deleted_teacher_is_trained_again_and_the_student_is_not(project, first_run, caplog):
    shutil.rmtree(project / "data/06_models/base/store/teachers.cgp_1")
    run(project, **TINY)
    assert figures(project) == first_run
    assert "teachers.cgp_1: trained" in caplog.text
    assert "student.train is up to date after all" in caplog.text
    newest = tracked(project, "select name from runs order by start_time desc limit 2")
    assert newest[0] == ("teachers.cgp_1",) and newest[1] not in [("student",), ("baseline",)]


@pytest.mark.slow
def test_trainings_in_parallel_processes_give_the_same_figures(project, first_run):
    """Everything again in spawned workers: the tree of runs is complete, and no figure differs."""
    shutil.rmtree(project / "data")
    known = "select count(*) from runs"
    (before,) = tracked(project, known)[0]
    run(project, runner=ParallelRunner(max_workers=2), **TINY)
    assert figures(project) == first_run
    family = """
        select runs.name, runs.status, parents.name, parents.status from runs
        left join tags on tags.run_uuid = runs.run_uuid and tags.key = 'mlflow.parentRunId'
        left join runs as parents on parents.run_uuid = tags.value
        order by runs.start_time desc limit 7
    """
    tree = sorted(tracked(project, family), key=lambda row: row[2] or "")
    (root, *_), children = tree[0], tree[1:]
    teachers = {f"teachers.{s}_{part}" for s in ("cgp", "dgp") for part in (0, 1)}
    assert tree[0] == (root, "FINISHED", None, None)
    assert {row[0] for row in children} == {"baseline", "student", *teachers}
    assert {row[1:] for row in children} == {("FINISHED", root, "FINISHED")}
    assert tracked(project, known) == [(before + 7,)]


@pytest.mark.slow
def test_another_k_in_the_same_process_changes_the_teachers(project, first_run):
    shape = {"num_parts": 3, "strategies": "cgp"}
    run(project, pipelines=["graph_partition", "teacher_training"], **{**TINY, "partition": shape})
    assert (
        len(list((project / "data/06_models/base/trained").glob("teachers.cgp_*.safetensors"))) == 3
    )
    with pytest.raises(PartitionError, match=r"3 parts.*2 teachers"):
        run(project, pipelines=["baseline_training", "teacher_training"], **TINY)
    run(project, pipelines=["graph_partition"], **TINY)
    run(project, namespaces=["teachers.cgp_1"], **TINY)


def test_changed_parameters_train_again_and_the_log_says_why(project, first_run, caplog):
    changed = {**TINY, "training": {**TINY["training"], "learning_rate": 0.02}}
    run(project, pipelines=["baseline_training"], **changed)
    assert "training.learning_rate was 0.01, is 0.02" in caplog.text


def test_all_wrong_parameters_are_told_before_anything_runs(project):
    wrong = {"training": {"epoch": 3, "batch_size": 0}, "model": {"head": "linaer"}}
    with pytest.raises(ParameterError) as error:
        run(project, **wrong)
    assert all(key in str(error.value) for key in ("training.epoch", "batch_size", "linear"))


def test_too_many_parts_and_missing_weights_are_errors_before_anything_runs(project):
    wrong = {"partition": {"num_parts": 7}, "model": {"weights": "nowhere.safetensors"}}
    with pytest.raises(ParameterError, match=r"(?s)num_parts.*nowhere\.safetensors"):
        run(project, **wrong)


def test_failed_run_is_failed_in_the_database_and_keeps_what_was_done(project, first_run):
    kept = sorted((project / "data/06_models/base").rglob("*"))
    store = project / "data/03_primary/base/images/pixels.json"
    whole = store.read_text()
    store.write_text("{")
    with pytest.raises(DataError):
        run(project, pipelines=["baseline_training"], **TINY)
    store.write_text(whole)
    newest = tracked(project, "select status from runs order by start_time desc limit 1")
    assert newest == [("FAILED",)]
    assert sorted((project / "data/06_models/base").rglob("*")) == kept


def test_user_partition_of_another_size_is_refused():
    partition = user_partition([["a", "b"], ["c"]], LabelSpace(("a", "b", "c")))
    with pytest.raises(PartitionError):
        partition.require_parts(3)


SAMPLES = [  # of VOC there are two training images, of which validation takes one
    pytest.param("ucmerced", "ucm17", {}, 2, marks=pytest.mark.slow),  # 2,100 images to decode
    pytest.param("corel5k", "corel5k", {}, 2, marks=pytest.mark.slow),  # 260 labels to survey
    ("voc2007", "voc/VOCdevkit", {"validation_fraction": 0.5, "drop_labels_below": 1}, 1),
    ("coco2014", "coco128", {"validation_fraction": 0.3, "drop_labels_below": 2}, 2),
]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are absent")
@pytest.mark.parametrize(("env", "folder", "data", "num_parts"), SAMPLES)
def test_environments_read_their_layout(project, env, folder, data, num_parts):
    small = {"image_size": 16, "store_size": 16, **data}
    partition = {"num_parts": num_parts, "min_size": 1}
    run(
        project,
        env=env,
        pipelines=["data_preparation", "label_statistics", "graph_partition"],
        folder=str(SHARED / folder),
        data=small,
        partition=partition,
    )
    partition = json.loads((project / f"data/05_model_input/{env}/partition_dgp.json").read_text())
    assert len(partition["parts"]) == num_parts


def test_run_of_another_environment_replaces_nothing(project, first_run):
    def state():
        files = [path for path in (project / "data").rglob("*") if path.is_file()]
        own = [path for path in files if "other" not in path.parts and path.suffix != ".lock"]
        return {path: path.stat().st_mtime_ns for path in own}

    run(project, **TINY)
    before = state()
    (project / "conf/other").mkdir()
    (project / "conf/other/parameters.yml").write_text("synthetic: {num_images: 120}")
    pipelines = ["data_preparation", "label_statistics"]
    run(project, env="other", pipelines=pipelines, **{**TINY, "synthetic": {"size": 32}})
    assert state() == before
    counts = [
        len((project / f"data/03_primary/{env}/images/pixels.npy").read_bytes())
        for env in ("base", "other")
    ]
    assert counts[1] < counts[0]
    run(project, **TINY)  # up to date: the other run changed nothing that this one reads
    assert state() == before


def test_another_store_of_the_same_pixels_trains_nothing_again(project, first_run):
    def weights():
        files = (project / "data/06_models/base/store").rglob("*")
        return {path: path.stat().st_mtime_ns for path in files if path.suffix in SUFFIXES}

    run(project, **TINY)
    before, figures_before = weights(), figures(project)
    run(project, **{**TINY, "data": {**TINY["data"], "store": "encoded"}})
    assert (project / "data/03_primary/base/images/encoded.npy").is_file()
    assert before and weights() == before and figures(project) == figures_before
    run(project, **TINY)


def test_a_run_goes_on_untracked_where_mlflow_is_not_required(
    tmp_path, copy_project, run_project, caplog
):
    project = copy_project(tmp_path)
    (project / "mlflow.db").write_bytes(b"no database at all" * 1000)
    pipelines = ["data_preparation", "baseline_training"]
    with pytest.raises(TrainingError):
        run_project(project, pipelines=pipelines, **TINY)
    (project / "conf/local").mkdir(exist_ok=True)
    (project / "conf/local/mlflow.yml").write_text("required: false\n")
    run_project(project, pipelines=pipelines, **TINY)
    assert "not tracked" in caplog.text
    assert (project / "data/06_models/base/trained/baseline.safetensors").is_file()
