"""The pipelines take the shape that the parameters ask for, and start without heavy imports."""

import subprocess
import sys
from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import CatalogConfigResolver
from kedro.validation.type_extractor import TypeExtractor

from mlic import pipeline_registry
from mlic.config.parameters import check_parameters
from mlic.pipeline_registry import register_pipelines, remember
from mlic.utils.strict_model import StrictModel

CONF = Path(__file__).resolve().parents[1] / "conf"


@pytest.fixture
def shape(monkeypatch):
    """Pipelines for some strategies and K."""
    monkeypatch.setattr(pipeline_registry, "_shape", [])
    raw = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")["parameters"]

    def shape(strategies, num_parts, mode="separate"):
        raw["teachers"] = raw["teachers"] | {"mode": mode}
        raw["partition"] = raw["partition"] | {"strategies": strategies, "num_parts": num_parts}
        remember(check_parameters(raw))
        return register_pipelines()

    return shape


def trainings(pipeline):
    return sorted(node.namespace for node in pipeline.nodes if "training" in node.tags)


@pytest.mark.parametrize(("strategies", "k"), [("cgp+dgp", 2), ("cgp+dgp", 5), ("cgp", 3)])
@pytest.mark.parametrize("baseline", ["", "baseline+"])
def test_teachers_follow_strategies_and_k(shape, baseline, strategies, k):
    found = trainings(shape(baseline + strategies, k)["__default__"])
    teachers = [f"teachers.{s}_{part}" for s in strategies.split("+") for part in range(k)]
    assert found == sorted([*teachers, "baseline", "student"])


@pytest.mark.parametrize("mode", ["separate", "joint", "frozen"])
def test_the_baseline_alone_may_teach(shape, mode):
    pipeline = shape("baseline", 3, mode)["__default__"]
    assert trainings(pipeline) == ["baseline", "student"]
    (join,) = [node for node in pipeline.nodes if node.name == "teachers.join_logits"]
    assert join.inputs == ["labels", "store", "baseline.logits"]
    free = {name for name in pipeline.inputs() if not name.startswith("params:")}
    assert free == {"images_folder", "store", "parameters"}


def test_two_shapes_in_one_process(shape):
    many, few = shape("cgp+dgp", 5), shape("dgp", 2)
    assert len(trainings(many["__default__"])) == 12
    assert trainings(few["teacher_training"]) == ["teachers.dgp_0", "teachers.dgp_1"]
    assert not any("cgp" in name for name in few["__default__"].datasets())


def test_without_a_context_the_shape_is_that_of_the_base(monkeypatch):
    monkeypatch.setattr(pipeline_registry, "_shape", [])
    pipeline = register_pipelines()["__default__"]
    assert trainings(pipeline) == ["baseline", "student", "teachers"]  # in one pass
    assert "teachers.cgp_2.logits" in pipeline.datasets()


def test_default_runs_everything_and_lacks_nothing(shape):
    pipelines = shape("cgp+dgp", 2)
    names = {
        node.name for name, p in pipelines.items() if name != "__default__" for node in p.nodes
    }
    assert {node.name for node in pipelines["__default__"].nodes} == names
    free = {name for name in pipelines["__default__"].inputs() if not name.startswith("params:")}
    assert free == {"images_folder", "store", "parameters"}


def test_the_student_depends_on_every_teacher(shape):
    pipeline = shape("cgp+dgp", 2)["__default__"]
    before = trainings(pipeline.to_nodes("student.train"))
    assert before == ["student", *(f"teachers.{s}_{i}" for s in ("cgp", "dgp") for i in (0, 1))]


@pytest.mark.parametrize("k", [2, 5])
def test_of_what_lies_between_the_boxes_only_the_groups_grow_with_k(shape, k):
    pipelines = shape("cgp+dgp", k)
    whole = pipelines["__default__"]
    steps = ["data_preparation", "label_statistics", "graph_partition", "reporting"]
    boxes = {node.namespace.partition(".")[0] for node in whole.nodes}
    assert boxes == {*steps, "baseline", "teachers", "student"}
    teachers = whole.only_nodes_with_namespaces(["teachers"])
    groups = {f"teachers.{strategy}_{i}.group" for strategy in ("cgp", "dgp") for i in range(k)}
    seen = {"images", "labels", "store", *groups}
    assert {name for name in teachers.inputs() if not name.startswith("params:")} == seen
    taken = {f"teachers.{name}" for name in ("test_predictions", "class_maps", "trainings")}
    assert teachers.all_outputs() & (whole - teachers).inputs() == {"soft_targets", *taken}
    for name in steps:
        inside = pipelines[name].only_nodes_with_namespaces([name])
        assert len(inside.nodes) > 1 and not any(
            data.startswith(f"{name}.") for data in inside.datasets()
        )
    partition = whole.only_nodes_with_namespaces(["graph_partition"])
    assert {name for name in partition.outputs() if name.startswith("teachers.")} == groups


LAYERS = ["raw", "primary", "feature", "model_input", "models", "model_output", "reporting"]


@pytest.mark.parametrize("strategies", ["cgp+dgp", "random+full_label+user", "baseline"])
def test_every_dataset_has_a_layer_and_the_layers_run_one_way(shape, strategies):
    catalog = CatalogConfigResolver(
        OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")["catalog"]
    )

    def layer(name):
        return LAYERS.index(catalog.resolve_pattern(name)["metadata"]["kedro-viz"]["layer"])

    for node in shape(strategies, 2)["__default__"].nodes:
        inputs, outputs = (
            [layer(name) for name in names if not name.startswith("param")]
            for names in (node.inputs, node.outputs)
        )
        assert max(inputs, default=0) <= min(outputs), node


def test_one_teacher_can_be_asked_for(shape):
    pipeline = shape("cgp", 3)["__default__"]
    assert trainings(pipeline.only_nodes_with_namespaces(["teachers.cgp_1"])) == ["teachers.cgp_1"]


HEAVY = "torch mlflow timm pandas scipy sklearn networkx plotly"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("mlic.settings", f"{HEAVY} numpy pydantic"),
        ("mlic.pipeline_registry", f"{HEAVY} numpy PIL"),
        ("mlic.runners", f"{HEAVY} numpy"),
        ("mlic.datasets", HEAVY),
    ],
)
def test_start_up_pulls_in_nothing_heavy(module, heavy):
    program = (
        f"import sys, {module}\n"
        f"getattr({module}, 'register_pipelines', list)()\n"
        f"found = {{*{heavy.split()}}} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_kedro_finds_the_model_of_every_parameter(shape, caplog):
    """It reads the annotations of all nodes, of which many name what is imported later."""
    found = TypeExtractor(shape("cgp+random+user+full_label", 2)).extract_types_from_pipelines()
    sections = {name: value for name, value in pipeline_registry._shape[0] if name != "controls"}
    assert found == {
        k: type(value) for k, value in sections.items() if isinstance(value, StrictModel)
    }
    assert not caplog.records


def test_kedro_does_not_warn_of_dots_wherever_a_pipeline_is_made():
    program = (
        "from mlic.pipelines import reporting, teacher_training\n"
        "reporting.create_pipeline(), teacher_training.create_pipeline(mode='frozen')\n"
    )
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", program], check=True)


def test_controls_follow_the_parameters(monkeypatch):
    monkeypatch.setattr(pipeline_registry, "_shape", [])
    raw = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")["parameters"]
    raw["partition"] |= {
        "strategies": "random+full_label+user",
        "num_parts": 2,
        "num_full_label": 3,
    }
    raw["controls"], raw["teachers"]["mode"] = {"budget_matched_baseline": True}, "separate"
    remember(check_parameters(raw))
    pipeline = register_pipelines()["__default__"]
    groups = [f"teachers.{s}_{i}" for s in ("random", "user") for i in (0, 1)]
    plain = [f"teachers.full_label_{i}" for i in range(3)]
    assert trainings(pipeline) == sorted(
        ["baseline", "budget_matched_baseline", "student", *groups, *plain]
    )
    free = {name for name in pipeline.inputs() if not name.startswith("params:")}
    assert free == {"user_groups", "images_folder", "store", "parameters"}
    assert "budget_matched_baseline" not in trainings(pipeline.to_nodes("student.train"))
    nodes = {node.name: set(node.inputs) for node in pipeline.nodes}
    assert "budget_matched_baseline.checkpoint" in nodes["reporting.predict_test_split"]
    assert "teachers.full_label_2.checkpoint" in nodes["teachers.predict_test_split"]
    assert "partition_user" in nodes["reporting.summarise_run"]


@pytest.mark.parametrize("mode", ["joint", "frozen"])
@pytest.mark.parametrize(("strategies", "needed"), [("baseline+cgp", ["baseline"]), ("cgp", [])])
def test_teachers_in_one_pass_give_the_student_the_same(monkeypatch, strategies, needed, mode):
    monkeypatch.setattr(pipeline_registry, "_shape", [])
    raw = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")["parameters"]
    raw["partition"] |= {"strategies": strategies}
    remember(check_parameters(raw))
    apart = register_pipelines()
    raw["teachers"] = raw["teachers"] | {"mode": mode}
    remember(check_parameters(raw))
    joint = register_pipelines()
    assert trainings(joint["__default__"]) == ["baseline", "student", "teachers"]
    before = trainings(joint["__default__"].to_nodes("student.train"))
    assert before == [*(["baseline"] if mode == "frozen" else needed), "student", "teachers"]
    for name in ("distillation", "reporting"):
        assert joint[name].inputs() == apart[name].inputs()
    assert joint["__default__"].outputs() == apart["__default__"].outputs()
