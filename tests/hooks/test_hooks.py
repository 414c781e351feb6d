"""Hooks: the shape of the pipelines, the parent run's life, and what the terminal shows."""

import errno
import json
import logging
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import click
import mlic.hooks.hooks
import pytest
from click.testing import CliRunner
from kedro.config import OmegaConfigLoader
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.framework.project import pipelines
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import ThreadRunner
from kedro_datasets.json import JSONDataset
from mlic.hooks.hooks import ClosingTable, PipelineShape, PlainErrors, RunTracking
from rich.console import Console

import mlic.config.parameters
from mlic.errors import DataError, ParameterError, TrainingError
from mlic.hooks.console import PlainExcepthook, closing_table, exit_codes, find_mlic_error, is_news
from mlic.runners import SequentialRunner
from mlic.settings import CONFIG_LOADER_ARGS, HOOKS
from mlic.tracking import runs as tracking

CONF = Path(__file__).resolve().parents[2] / "conf"
SUMMARY = {
    "baseline": {"mAP": 50.0, "CF1": 40.0, "OF1": 45.0},
    "teachers": {"cgp": {"mAP": 51.0}, "dgp": {"mAP": 52.0}},
    "student": {"mAP": 55.5, "CF1": 41.0, "OF1": 47.0},
    "seconds": {"baseline": 10.2, "teachers": {"cgp": 20.0}, "student": 11.0, "total": 80.0},
    "seed": 0,
}
RUN_PARAMS = {
    "run_id": "2026",
    "env": None,
    "pipeline_names": None,
    "tags": (),
    "namespaces": "cgp_0",
}


def identity(value):
    return value


TRAINING = Pipeline(
    [
        Node(identity, "data", "model", name="train", tags="training"),
        Node(identity, "model", "summary", name="summarise"),
    ]
)


class Loader(dict):
    """Configuration by kind, and what the command line said."""

    runtime_params = None


@pytest.fixture
def context(tmp_path):
    config = Loader({"mlflow": {"experiment": "mine"}, "parameters": {"seed": 3}})
    return SimpleNamespace(project_path=tmp_path, env=None, config_loader=config)


@pytest.fixture
def catalog(tmp_path):
    layer = {"kedro-viz": {"layer": "reporting"}}
    summary = JSONDataset(filepath=str(tmp_path / "summary.json"), metadata=layer)
    summary.save(SUMMARY)
    return DataCatalog({"summary": summary})


class Store(tracking.TrainingRun):
    """Stands for MLflow and writes down what it is told."""

    def __init__(self):
        self.told = []

    def open(self, settings, name, parameters, tags):
        self.told.append(("open", settings, name, parameters, tags))

    def close(self, status):
        self.told.append(("close", status))

    def report(self, epoch, metrics):
        self.told.append(("report", metrics))

    def attach(self, path, folder):
        self.told.append(("attach", path.name))


@pytest.fixture
def plan(monkeypatch):
    """A plan that names the trainings of the pipeline it is asked about."""

    def plan_run(pipeline, parameters, catalog):
        return f"plan of {[node.name for node in pipeline.nodes]}"

    def count_trainings(pipeline):
        return sum("training" in node.tags for node in pipeline.nodes)

    told = SimpleNamespace(plan_run=plan_run, count_trainings=count_trainings)
    monkeypatch.setitem(sys.modules, "mlic.hooks.cost_estimate", told)
    base = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")["parameters"]
    checked = mlic.config.parameters.check_parameters(base)
    monkeypatch.setattr(mlic.config.parameters, "check_parameters", lambda raw: checked)


@pytest.fixture
def store(monkeypatch, plan):
    store = Store()
    monkeypatch.setattr(tracking, "open_parent", store.open)
    monkeypatch.setattr(tracking, "close_parent", store.close)
    monkeypatch.setattr(tracking, "parent_run", lambda: store)
    monkeypatch.setattr(mlic.hooks.hooks, "exit_on_sigterm", lambda: None)
    return store


# Start-up and order


def test_kedro_accepts_the_hooks():
    manager = _create_hook_manager()
    for hook in HOOKS:
        assert manager.register(hook)
    manager.check_pending()
    order = [impl.plugin for impl in manager.hook.after_context_created.get_hookimpls()]
    assert isinstance(order[-1], PlainErrors)  # called first
    order = [impl.plugin for impl in manager.hook.after_pipeline_run.get_hookimpls()]
    assert [type(plugin) for plugin in reversed(order)] == [RunTracking, ClosingTable]


def test_configuration_finds_mlflow_yml(tmp_path, monkeypatch):
    from kedro.config import OmegaConfigLoader

    (tmp_path / "base").mkdir()
    (tmp_path / "local").mkdir()
    (tmp_path / "base" / "mlflow.yml").write_text(
        'tracking_uri: ${oc.env:MLFLOW_TRACKING_URI,"sqlite:///mlflow.db"}\n'
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    loader = OmegaConfigLoader(str(tmp_path), **CONFIG_LOADER_ARGS)
    assert loader["mlflow"] == {"tracking_uri": "sqlite:///mlflow.db"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert loader["mlflow"] == {"tracking_uri": "http://server"}


# PipelineShape


def test_shape_follows_each_context(context, monkeypatch):
    remembered = []
    monkeypatch.setattr(
        mlic.config.parameters, "check_parameters", lambda raw: f"checked {raw['seed']}"
    )
    registry = SimpleNamespace(
        remember=remembered.append, register_pipelines=lambda: {remembered[-1]: Pipeline([])}
    )
    monkeypatch.setitem(sys.modules, "mlic.pipeline_registry", registry)
    try:
        for seed in (3, 4):
            context.config_loader["parameters"] = {"seed": seed}
            PipelineShape().after_context_created(context)
            assert list(pipelines) == [f"checked {seed}"]
    finally:
        pipelines.configure(None)


def test_wrong_parameters_stop_before_the_pipelines(context, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlic.pipeline_registry", SimpleNamespace(remember=None))
    context.config_loader["parameters"] = {"sed": 3}
    with pytest.raises(ParameterError, match="sed"):
        PipelineShape().after_context_created(context)


@pytest.mark.parametrize(
    ("source", "entries", "said", "mistake"),
    [
        ("synthetic", {}, {}, None),
        ("catalog", {"raw_images"}, {}, None),
        ("catalog", {}, {}, "has no entry raw_images"),
        ("synthetic", {"raw_images"}, {"seed": 1}, "would not be read"),
        ("synthetic", {"raw_images"}, {"data": {"source": "synthetic"}}, None),
    ],
)
@pytest.mark.usefixtures("plan")
def test_own_data_are_neither_passed_over_nor_missed(context, source, entries, said, mistake):
    hook = PipelineShape()
    context.config_loader.runtime_params = said
    hook.after_context_created(context)
    try:
        with pytest.raises(ParameterError, match=mistake) if mistake else nullcontext():
            hook.after_catalog_created(dict.fromkeys(entries), {"params:data.source": source})
    finally:
        pipelines.configure(None)


# RunTracking


def started(context, pipeline=TRAINING, catalog=None, **run_params):
    hook = RunTracking()
    hook.after_context_created(context)
    hook.before_pipeline_run(RUN_PARAMS | run_params, pipeline, catalog or DataCatalog())
    return hook


def test_parent_is_opened_with_settings_parameters_and_tags(context, store):
    started(context)
    opened = store.told[-1]
    settings, name, parameters, tags = opened[1:]
    assert settings.experiment == "mine"
    assert settings.tracking_uri == f"sqlite:///{context.project_path}/mlflow.db"
    assert (name, parameters) == ("synthetic baseline+cgp+dgp K=3 seed=0", {"seed": 3})
    assert tags["kedro.env"] == "local"
    assert tags["kedro.namespaces"] == "cgp_0"
    assert "kedro.tags" not in tags


def test_nothing_is_opened_where_nothing_trains(context, store):
    started(context, TRAINING.filter(node_names=["summarise"]))
    assert not [told for told in store.told if told[0] == "open"]


def test_finished_run_logs_figures_and_files(context, store, catalog):
    hook = started(context)
    hook.after_pipeline_run(TRAINING, catalog)
    (_, metrics), attached, closed = store.told[-3:]
    assert metrics["baseline.mAP"] == 50.0
    assert metrics["teachers.dgp.mAP"] == 52.0
    assert metrics["gain.mAP"] == 5.5
    assert metrics["seconds.total"] == 80.0
    assert "seed" not in metrics
    assert attached == ("attach", "summary.json")
    assert closed == ("close", "FINISHED")


def test_a_summary_of_another_run_is_not_logged(context, store, catalog):
    part = TRAINING.filter(node_names=["train"])
    started(context, part).after_pipeline_run(part, catalog)
    assert [told[0] for told in store.told[-2:]] == ["open", "close"]


def test_error_closes_as_failed(context, store):
    started(context).on_pipeline_error()
    assert store.told[-1] == ("close", "FAILED")


def test_run_left_over_is_closed_as_killed(context, store):
    hook = started(context)
    hook.before_pipeline_run(RUN_PARAMS, TRAINING, DataCatalog())
    assert [told[:2] for told in store.told if told[0] == "close"] == [("close", "KILLED")] * 2
    assert store.told[-1][0] == "open"


def test_python_closes_an_open_parent_at_exit():
    program = """
from types import SimpleNamespace
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
import mlic.hooks.hooks
from mlic.hooks.hooks import RunTracking, tracking
RunTracking._refuse = RunTracking._announce = RunTracking._parameters = lambda *_: None
mlic.hooks.describe_run = lambda *_: ("run", {})
tracking.open_parent = lambda *_: print("open")
tracking.close_parent = print
config = {"mlflow": {}, "parameters": {}}
pipeline = Pipeline([Node(len, "a", "b", tags="training")])
closed, left_open = RunTracking(), RunTracking()
for hook in (closed, left_open):
    hook.after_context_created(SimpleNamespace(project_path=".", config_loader=config))
    hook.before_pipeline_run({"run_id": "1"}, pipeline, DataCatalog())
closed.on_pipeline_error()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    told = [word for word in done.stdout.split() if word in {"open", "FAILED", "KILLED"}]
    assert told == ["KILLED", "open", "KILLED", "open", "FAILED", "KILLED"], done.stderr


def test_plan_is_announced_before_trainings(context, store, caplog):
    with caplog.at_level(logging.INFO, "mlic"):
        started(context, TRAINING.filter(node_names=["summarise"]))
        assert not caplog.records
        started(context)
    assert caplog.messages[0] == "plan of ['train', 'summarise']"


@pytest.fixture
def finished(tmp_path):
    """A catalog in which both nodes of the pipeline have been run and recorded."""

    def new_catalog():
        config = {
            name: {"type": "json.JSONDataset", "filepath": str(tmp_path / f"{name}.json")}
            for name in ("data", "model", "summary", "other")
        }
        place = {"type": "mlic.datasets.DirectoryDataset", "filepath": str(tmp_path / "records")}
        return DataCatalog.from_config(config | {"node_records": place})

    (tmp_path / "data.json").write_text(json.dumps(SUMMARY))
    SequentialRunner().run(TRAINING, new_catalog())
    return new_catalog


def test_nothing_is_opened_or_priced_where_all_is_up_to_date(context, store, finished, caplog):
    with caplog.at_level(logging.INFO, "mlic.hooks.hooks"):
        started(context, TRAINING, finished())
    assert [told[0] for told in store.told] == ["close"]
    assert caplog.messages == [f"Everything is up to date: {finished()['summary']._filepath}"]


def test_only_trainings_that_may_run_are_priced(context, store, finished, caplog, tmp_path):
    other = Pipeline([Node(identity, "model", "other", name="other", tags="training")])
    with caplog.at_level(logging.INFO, "mlic.hooks.hooks"):
        started(context, TRAINING + other, finished())
        (tmp_path / "summary.json").unlink()
        started(context, TRAINING, finished())
    assert caplog.messages[0] == "plan of ['other']; 1 of 2 trainings are up to date"
    assert [told[0] for told in store.told] == ["close", "open", "close"]


def test_the_thread_runner_may_not_train(context, store):
    threads = {"runner": str(ThreadRunner())}
    with pytest.raises(TrainingError, match="ParallelRunner"):
        started(context, **threads)
    started(context, TRAINING.filter(node_names=["summarise"]), **threads)
    assert [told[0] for told in store.told] == ["close", "close"]


# ClosingTable


def test_closing_table_is_shown_with_its_files(catalog, capsys):
    ClosingTable().after_pipeline_run(TRAINING, catalog)
    shown = capsys.readouterr().out
    assert "55.5" in shown
    assert "summary.json" in shown.replace("\n", "")
    ClosingTable().after_pipeline_run(TRAINING.filter(node_names=["train"]), catalog)
    assert not capsys.readouterr().out


def test_closing_table_reads_row_by_row():
    console = Console(width=80)
    with console.capture() as capture:
        console.print(closing_table(SUMMARY))
    rows = [line.strip()[1:-1].split("│") for line in capture.get().splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["baseline", "50.0", "40.0", "45.0", "10"],
        ["teachers cgp", "51.0", "", "", "20"],
        ["teachers dgp", "52.0", "", "", ""],
        ["student", "55.5", "41.0", "47.0", "11"],
    ]


# PlainErrors


def wrapped(error):
    try:
        try:
            raise error
        except type(error) as cause:
            raise RuntimeError("Failed while loading") from cause
    except RuntimeError as outer:
        return outer


def test_mlic_error_speaks_once_and_alone(capsys):
    others = []
    hook = PlainExcepthook(lambda *exception: others.append(exception))
    message = "image 'a[0].jpg' is missing: " + "copy it " * 20
    error = wrapped(DataError(message))
    hook(type(error), error, None)
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not others


def test_other_errors_keep_their_traceback(capsys, monkeypatch):
    others = []
    hook = PlainExcepthook(lambda *exception: others.append(exception))
    bug = KeyError("a")
    hook(KeyError, bug, None)
    monkeypatch.setenv("MLIC_TRACEBACK", "1")
    ours = TrainingError("loss is NaN")
    hook(TrainingError, ours, None)
    assert [other[1] for other in others] == [bug, ours]
    assert not capsys.readouterr().err


def wrong_entry(folder):
    DataCatalog.from_config({"mine": {"type": "json.JSONDataset", "filpath": "a"}})["mine"]


def wrong_environment(folder):
    OmegaConfigLoader(str(CONF), env="mien", base_env="base")["catalog"]


def full_disk(folder):
    raise OSError(errno.ENOSPC, "No space left on device", str(folder))


def wrong_yaml(folder):
    (folder / "base").mkdir()
    (folder / "base" / "catalog.yml").write_text("mine:\n\ttype: x\n")
    OmegaConfigLoader(str(folder), base_env="base", default_run_env="base")["catalog"]


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        (wrong_entry, ["'mine'", "filpath"]),
        (wrong_environment, ["conf/mien", "does not exist"]),
        (wrong_yaml, ["catalog.yml", "line 1"]),
        (lambda _: Pipeline([]).filter(node_names=["trian"]), ["trian"]),
        (full_disk, ["No space left", "make room"]),
    ],
)
def test_what_kedro_finds_wrong_is_told_without_a_wall(capsys, tmp_path, slip, words):
    with pytest.raises(Exception) as caught:
        slip(tmp_path)
    PlainExcepthook(lambda *_: pytest.fail("a traceback"))(caught.type, caught.value, None)
    told = capsys.readouterr().err
    assert told.startswith("error: ") and all(word in told for word in words), told


def test_a_hidden_cause_stays_hidden():
    try:
        try:
            raise DataError("inner")
        except DataError:
            raise ValueError("outer") from None
    except ValueError as error:
        assert find_mlic_error(error) is None


def test_kedros_line_is_dropped_for_our_errors_only():
    record = logging.LogRecord("kedro.pipeline.node", logging.ERROR, "", 0, "failed", (), None)
    for error, kept in [(DataError("x"), False), (ValueError("x"), True)]:
        try:
            raise error
        except (DataError, ValueError):
            assert is_news(record) is kept
    assert is_news(record)


@pytest.mark.parametrize(
    ("stop", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted: "),
        (SystemExit(143), 143, "terminated: "),
        (SystemExit(0), 0, ""),
    ],
)
def test_exit_codes(stop, code, words, capsys):
    with pytest.raises(SystemExit) as caught, exit_codes():
        raise stop
    assert caught.value.code == code
    assert capsys.readouterr().err.startswith(words)


def test_ctrl_c_in_a_command_exits_with_130(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    @click.command()
    def run():
        PlainErrors().after_context_created(SimpleNamespace(project_path=Path.cwd()))
        raise KeyboardInterrupt

    result = CliRunner().invoke(run)
    assert result.exit_code == 130
    assert "interrupted: " in result.stderr
    assert "Aborted" not in result.output


def test_the_projects_levels_hold_in_its_folders_too(monkeypatch):
    log = logging.getLogger("kedro.io")
    monkeypatch.setattr(log, "level", logging.INFO)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    for folder, level in ((CONF.parent, logging.INFO), (CONF / "base", logging.WARNING)):
        monkeypatch.chdir(folder)
        PlainErrors().after_context_created(SimpleNamespace(project_path=CONF.parent))
        assert log.level == level


def test_plain_errors_are_put_in_place_once(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    for _ in range(2):
        PlainErrors().after_context_created(SimpleNamespace(project_path=Path.cwd()))
    assert isinstance(sys.excepthook, PlainExcepthook)
    assert sys.excepthook._previous is sys.__excepthook__
    assert logging.getLogger("kedro.pipeline.node").filters.count(is_news) == 1
