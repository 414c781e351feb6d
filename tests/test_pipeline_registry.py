"""The pipelines follow the shape of a run, and start without heavy imports."""

import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io import CatalogConfigResolver
from kedro.validation.type_extractor import TypeExtractor

from mlic.config.parameters import Parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.config.shape import RunShape, set_shape
from mlic.pipeline_registry import register_pipelines
from mlic.training.inputs import TrainingInputs
from mlic.utils.strict_model import StrictModel

CONF = Path(__file__).resolve().parents[1] / "conf"


@pytest.fixture(autouse=True)
def no_shape():
    """Shapes that other tests set are forgotten, before and afterwards."""
    set_shape(None)
    yield
    set_shape(None)


def register(strategies, num_parts=2, mode="separate", **fields):
    """Register the pipelines of a shape; strategies are joined by plus signs."""
    set_shape(RunShape("synthetic", tuple(strategies.split("+")), num_parts, mode=mode, **fields))
    return register_pipelines()


def trainings(pipeline):
    return sorted(node.namespace for node in pipeline.nodes if "training" in node.tags)


@pytest.mark.parametrize(("strategies", "k"), [("cgp+dgp", 2), ("cgp+dgp", 5), ("cgp", 3)])
@pytest.mark.parametrize("baseline", ["", "baseline+"])
def test_teachers_follow_strategies_and_k(baseline, strategies, k):
    found = trainings(register(baseline + strategies, k)["__default__"])
    teachers = [f"teachers.{s}_{part}" for s in strategies.split("+") for part in range(k)]
    assert found == sorted([*teachers, "baseline", "student"])


@pytest.mark.parametrize("mode", ["separate", "joint", "frozen"])
def test_baseline_can_be_the_only_teacher(mode):
    pipeline = register("baseline", 3, mode)["__default__"]
    assert trainings(pipeline) == ["baseline", "student"]
    (join,) = [node for node in pipeline.nodes if node.name == "teachers.join_logits"]
    assert join.inputs == ["labels", "store", "baseline.logits"]
    free = {name for name in pipeline.inputs() if not name.startswith("params:")}
    assert free == {"images_folder", "store", "parameters"}


def test_two_shapes_in_one_process():
    many, few = register("cgp+dgp", 5), register("dgp", 2)
    assert len(trainings(many["__default__"])) == 12
    assert trainings(few["teacher_training"]) == ["teachers.dgp_0", "teachers.dgp_1"]
    assert not any("cgp" in name for name in few["__default__"].datasets())


def test_without_a_context_the_shape_is_that_of_conf_base():
    pipeline = register_pipelines()["__default__"]
    assert trainings(pipeline) == ["baseline", "student", "teachers"]  # in one pass
    assert "teachers.cgp_2.logits" in pipeline.datasets()


def test_default_pipeline_has_all_nodes_up_to_the_report_and_needs_only_raw_inputs():
    pipelines = register("cgp+dgp", 2)
    others = {"__default__", "inference", "export"}  # on request
    names = {node.name for name, p in pipelines.items() if name not in others for node in p.nodes}
    assert {node.name for node in pipelines["__default__"].nodes} == names
    free = {name for name in pipelines["__default__"].inputs() if not name.startswith("params:")}
    assert free == {"images_folder", "store", "parameters"}


def test_student_depends_on_every_teacher():
    pipeline = register("cgp+dgp", 2)["__default__"]
    before = trainings(pipeline.to_nodes("student.train"))
    assert before == ["student", *(f"teachers.{s}_{i}" for s in ("cgp", "dgp") for i in (0, 1))]


@pytest.mark.parametrize("k", [2, 5])
def test_entries_between_namespaces_do_not_grow_with_k(k):
    pipelines = register("cgp+dgp", k)
    whole = pipelines["__default__"]
    steps = ["data_preparation", "label_statistics", "graph_partition", "calibration", "reporting"]
    boxes = {node.namespace.partition(".")[0] for node in whole.nodes}
    assert boxes == {*steps, "baseline", "teachers", "student"}
    teachers = whole.only_nodes_with_namespaces(["teachers"])
    seen = {"images", "labels", "store", "partition_cgp", "partition_dgp"}
    assert {name for name in teachers.inputs() if not name.startswith("params:")} == seen
    taken = {f"teachers.{name}" for name in ("test_predictions", "class_maps", "trainings")}
    assert teachers.all_outputs() & (whole - teachers).inputs() == {"soft_targets", *taken}
    for name in steps:
        inside = pipelines[name].only_nodes_with_namespaces([name])
        assert len(inside.nodes) > 1 and not any(
            data.startswith(f"{name}.") for data in inside.datasets()
        )


LAYERS = ["raw", "primary", "feature", "model_input", "models", "model_output", "reporting"]


@pytest.mark.parametrize("strategies", ["cgp+dgp", "random+full_label+user", "baseline"])
def test_every_dataset_has_a_layer_and_no_node_reads_a_later_layer(strategies):
    catalog = CatalogConfigResolver(
        RecipeConfigLoader(str(CONF), base_env="base", default_run_env="base")["catalog"]
    )

    def layer(name):
        return LAYERS.index(catalog.resolve_pattern(name)["metadata"]["kedro-viz"]["layer"])

    for node in register(strategies, 2)["__default__"].nodes:
        inputs, outputs = (
            [layer(name) for name in names if not name.startswith("param")]
            for names in (node.inputs, node.outputs)
        )
        assert max(inputs, default=0) <= min(outputs), node


def test_one_teacher_can_be_selected_by_its_namespace():
    pipeline = register("cgp", 3)["__default__"]
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
def test_start_up_imports_nothing_heavy(module, heavy):
    program = (
        f"import sys, {module}\n"
        f"getattr({module}, 'register_pipelines', list)()\n"
        f"found = {{*{heavy.split()}}} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_parameter_section_is_validated_by_kedro_or_by_training_inputs(caplog):
    """Kedro reads the annotations of nodes, but training nodes take some sections as keywords."""
    pipelines = register(
        "baseline+random+user+full_label", budget_matched_baseline=True, averaging=True
    )
    found = TypeExtractor(pipelines).extract_types_from_pipelines()
    sections = {
        name: field.annotation
        for name, field in Parameters.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, StrictModel)
    }
    assert found.items() <= sections.items()
    # no node reads them: the controls decide the shape, a hook reads registry, a runner ray
    missing = sections.keys() - found.keys() - {"controls", "registry", "ray"}
    assert missing <= TrainingInputs.__dataclass_fields__.keys()
    assert not caplog.records


def test_kedro_does_not_warn_about_dots_in_names():
    """Each pipeline can be built first; the warning filter is set where it is needed."""
    program = (
        "from mlic.config.shape import RunShape\n"
        "from mlic.pipelines import reporting, teacher_training\n"
        "shape = RunShape(mode='frozen')\n"
        "reporting.create_pipeline(shape), teacher_training.create_pipeline(shape)\n"
    )
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", program], check=True)


def test_controls_are_trained_and_reported_but_do_not_teach():
    pipeline = register("random+full_label+user", num_full_label=3, budget_matched_baseline=True)[
        "__default__"
    ]
    groups = [f"teachers.{s}_{i}" for s in ("random", "user") for i in (0, 1)]
    full_label = [f"teachers.full_label_{i}" for i in range(3)]
    assert trainings(pipeline) == sorted(
        ["baseline", "budget_matched_baseline", "student", *groups, *full_label]
    )
    free = {name for name in pipeline.inputs() if not name.startswith("params:")}
    assert free == {"user_groups", "images_folder", "store", "parameters"}
    assert "budget_matched_baseline" not in trainings(pipeline.to_nodes("student.train"))
    nodes = {node.name: set(node.inputs) for node in pipeline.nodes}
    assert "budget_matched_baseline.model" in nodes["reporting.predict_test_split"]
    assert "teachers.full_label_2.checkpoint" in nodes["teachers.predict_test_split"]
    assert "partition_user" in nodes["reporting.summarise_run"]


@pytest.mark.parametrize("mode", ["joint", "frozen"])
@pytest.mark.parametrize(("strategies", "needed"), [("baseline+cgp", ["baseline"]), ("cgp", [])])
def test_teachers_trained_in_one_pass_give_the_student_the_same_entries(strategies, needed, mode):
    separate, one_pass = register(strategies), register(strategies, mode=mode)
    assert trainings(one_pass["__default__"]) == ["baseline", "student", "teachers"]
    before = trainings(one_pass["__default__"].to_nodes("student.train"))
    assert before == [*(["baseline"] if mode == "frozen" else needed), "student", "teachers"]
    for name in ("distillation", "reporting"):
        assert one_pass[name].inputs() == separate[name].inputs()
    assert one_pass["__default__"].outputs() == separate["__default__"].outputs()
