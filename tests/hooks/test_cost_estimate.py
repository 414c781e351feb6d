"""The estimate that a run announces: counts are exact, minutes follow a timed step."""

import multiprocessing
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from mlic.config.cost import BRANCH_SHARE, FORWARD_SHARE
from mlic.config.parameters import Parameters, check_parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.config.shape import RunShape
from mlic.errors import ParameterError
from mlic.hooks.cost_estimate import count_trainings, estimate_cost
from mlic.models.options import BranchedModelOptions
from mlic.pipelines import baseline_training, distillation, teacher_training
from mlic.training.step_timing import measure_step

CONF = Path(__file__).resolve().parents[2] / "conf"
# images that one epoch costs: 24 are trained on, raw and averaged weights evaluate 8
EPOCH = 24 + 8 * 2 * FORWARD_SHARE
TEACHER = 10 + 3 * FORWARD_SHARE  # passes: ten epochs, and logits of three views
PIXELS = 36 * 32 * 32 * 3
WEIGHTS = 10**6 * 4 * 3  # bytes of each training: a million float32 weights, stored three times


def connect(shape):
    packages = (baseline_training, teacher_training, distillation)
    return sum((package.create_pipeline(shape) for package in packages), start=Pipeline([]))


ALL = connect(RunShape(strategies=("cgp", "dgp"), num_parts=2, mode="separate"))
BASELINE = baseline_training.create_pipeline(RunShape(strategies=("cgp",)))


@pytest.fixture
def make_parameters():
    """Make parameters with ten epochs and three views, and other values for some sections."""
    loader = RecipeConfigLoader(str(CONF), base_env="base", default_run_env="base")
    raw = loader["parameters"]
    raw["data"] |= {"image_size": 32, "validation_fraction": 0.1, "test_fraction": 0.2}
    raw["training"] |= {"epochs": 10, "augmentation": {"views": 3}, "overrides": {}, "threads": 1}
    raw["training"] |= {"batch_size": 4, "teacher_epoch_factor": 1, "student_epoch_factor": 1}
    raw["teachers"]["mode"] = "separate"
    raw["partition"] |= {"min_size": 1, "strategies": "cgp+dgp", "num_parts": 2}

    def make(**sections):
        return check_parameters(
            {**raw, **{name: raw[name] | values for name, values in sections.items()}}
        )

    return make


@pytest.fixture
def timed(monkeypatch):
    """Pretend that an image takes a second, and a tenth more for each branch on a shared trunk.

    Returns the arguments of every timing.
    """
    calls = []

    def measure(model, options, image_size, num_labels, num_branches=1):
        calls.append((type(model).__name__, image_size, num_labels, num_branches))
        branches = num_branches if isinstance(model, BranchedModelOptions) else 0
        return 1 + 0.1 * branches, 10**6

    monkeypatch.setattr("mlic.training.step_timing.measure_step", measure)
    return calls


def catalog_of(labels):
    return DataCatalog({"labels": MemoryDataset(labels)})


def minutes_of(estimate):
    return int(re.search(r"about (\d+) minute", estimate)[1])


def megabytes_of(estimate):
    return int(re.search(r"(\d+) MB", estimate)[1])


@pytest.mark.usefixtures("timed")
def test_all_trainings_are_counted(make_parameters, labels):
    estimate = estimate_cost(ALL, make_parameters(), catalog_of(labels))
    assert "6 trainings" in estimate and count_trainings(ALL) == 6
    assert "(baseline, 2 cgp teachers, 2 dgp teachers, student)" in estimate
    assert minutes_of(estimate) == round((10 + 4 * TEACHER + 10) * EPOCH / 60)
    # two strategies, three views, 24 images, four labels in float16; of teachers and of the student
    logits = 2 * 3 * 24 * 4 * 2 * 2
    assert megabytes_of(estimate) == round((PIXELS + 6 * WEIGHTS + logits) / 1e6)


@pytest.mark.usefixtures("timed")
def test_devices_divide_the_time(make_parameters, labels):
    overrides = {"teacher": {"devices": 4}, "student": {"devices": 2}}
    parameters = make_parameters(training={"overrides": overrides})
    estimate = estimate_cost(ALL, parameters, catalog_of(labels))
    assert minutes_of(estimate) == round((10 + 4 * TEACHER / 4 + 10 / 2) * EPOCH / 60)


@pytest.mark.usefixtures("timed")
def test_single_training_is_in_the_singular(make_parameters, labels):
    shape = RunShape(strategies=("cgp",), num_parts=1, mode="separate")
    teacher = teacher_training.create_pipeline(shape)
    parameters = make_parameters(partition={"strategies": "cgp", "num_parts": 1})
    estimate = estimate_cost(teacher, parameters, catalog_of(labels))
    assert "1 training (1 cgp teacher)" in estimate and minutes_of(estimate) == 5
    few = catalog_of(labels.take(range(4)))
    assert minutes_of(estimate_cost(teacher, parameters, few)) <= 2


class RawImages:
    """An entry of the catalog with some images of seven labels."""

    def __init__(self, number=50):
        self.number = number

    def make_labels(self):
        return type("Labels", (), {"space": range(7), "__len__": lambda _: self.number})()

    def load(self):
        return SimpleNamespace(labels=self.make_labels())


class Manifest(RawImages):
    """An entry whose labels can be read without the images."""

    def load_labels(self):
        return self.make_labels()

    def load(self):
        raise AssertionError("images are read before the run")


@pytest.mark.usefixtures("timed")
@pytest.mark.parametrize(("raw", "minutes"), [(RawImages(50), 6), (Manifest(200), 26)])
def test_labels_that_are_not_prepared_are_counted_at_their_source(make_parameters, raw, minutes):
    parameters = make_parameters(data={"source": "catalog"})
    estimate = estimate_cost(BASELINE, parameters, {"raw_images": raw})
    assert minutes_of(estimate) == minutes  # 10 epochs of 70 % and two thirds of 10 %


@pytest.mark.usefixtures("timed")
def test_synthetic_images_are_counted_from_their_parameters(make_parameters):
    parameters = make_parameters()
    images = parameters.synthetic.num_images
    expected = round(10 * (0.7 + 0.1 * 2 * FORWARD_SHARE) * images / 60)
    assert minutes_of(estimate_cost(BASELINE, parameters, {})) == expected


def test_too_few_labels_are_an_error_before_a_step_is_timed(make_parameters, timed):
    parameters = make_parameters(data={"source": "catalog"}, partition={"num_parts": 8})
    with pytest.raises(ParameterError) as caught:
        estimate_cost(ALL, parameters, {"raw_images": RawImages()})
    assert caught.value.fields == {"parameter": "partition.num_parts"} and not timed


def test_wrong_option_of_the_distiller_is_an_error_before_the_run(make_parameters, labels):
    wrong = {"name": "binary_kl", "options": {"temperture": 2}}
    parameters = make_parameters(distillation={"distiller": wrong})
    with pytest.raises(ParameterError, match="temperture") as caught:
        estimate_cost(ALL, parameters, catalog_of(labels))
    assert caught.value.fields["name"] == "binary_kl"


@pytest.mark.usefixtures("timed")
def test_controls_are_counted(make_parameters, labels):
    partition = {"strategies": "random+full_label", "num_parts": 2, "num_full_label": 3}
    shape = RunShape(
        strategies=("random", "full_label"),
        num_parts=2,
        num_full_label=3,
        mode="separate",
        budget_matched_baseline=True,
    )
    parameters = make_parameters(partition=partition)
    estimate = estimate_cost(connect(shape), parameters, catalog_of(labels))
    assert "8 trainings" in estimate
    teachers = "3 full_label teachers, 2 random teachers"
    assert f"(baseline, budget_matched_baseline, {teachers}, student)" in estimate
    psd = 5 * TEACHER + 10
    assert minutes_of(estimate) == round((10 + psd + psd) * EPOCH / 60)
    logits = (1 + 3) * 3 * 24 * 4 * 2 * 2  # a full-label teacher predicts all labels
    assert megabytes_of(estimate) == round((PIXELS + 8 * WEIGHTS + logits) / 1e6)


@pytest.mark.usefixtures("timed")
def test_baseline_that_teaches_is_counted_with_its_logits(make_parameters, labels):
    strategies = ("baseline", "cgp")
    shape = RunShape(strategies=strategies, num_parts=2, mode="separate")
    parameters = make_parameters(partition={"strategies": list(strategies)})
    estimate = estimate_cost(connect(shape), parameters, catalog_of(labels))
    assert "4 trainings (baseline, 2 cgp teachers, student)" in estimate
    assert minutes_of(estimate) == round((3 * TEACHER + 10) * EPOCH / 60)
    logits = (1 + 1) * 3 * 24 * 4 * 2 * 2
    assert megabytes_of(estimate) == round((PIXELS + 4 * WEIGHTS + logits) / 1e6)


@pytest.mark.parametrize(
    ("mode", "trunk", "branch"),
    [
        ("joint", TEACHER, 0.1),
        ("frozen", 3 * FORWARD_SHARE, BRANCH_SHARE),  # the trunk only computes features
    ],
)
@pytest.mark.usefixtures("timed")
def test_teachers_of_one_pass_are_counted_one_by_one(make_parameters, labels, mode, trunk, branch):
    shape = RunShape(strategies=("cgp", "dgp"), num_parts=3, mode=mode)
    parameters = make_parameters(partition={"num_parts": 3}, teachers={"mode": mode})
    pipeline = connect(shape) - distillation.create_pipeline(shape)
    estimate = estimate_cost(pipeline, parameters, catalog_of(labels))
    assert "7 trainings (baseline, 3 cgp teachers, 3 dgp teachers)" in estimate
    passes = 10 + trunk + 6 * branch * TEACHER
    assert minutes_of(estimate) == round(passes * EPOCH / 60)


@pytest.mark.parametrize("mode", ["separate", "joint", "frozen"])
def test_step_with_branches_is_timed_for_joint_teachers_only(make_parameters, labels, timed, mode):
    estimate_cost(ALL, make_parameters(teachers={"mode": mode}), catalog_of(labels))
    branched = ("BranchedModelOptions", 32, 2, 4)
    assert timed == [("ModelOptions", 32, 4, 1), *([branched] if mode == "joint" else [])]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork processes")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_can_be_forked_after_the_estimate(make_parameters, labels):
    """A forked process would hang if the main thread had started OpenMP's workers.

    Other tests start them in this process, so that the estimate is made in a new one.
    """
    parameters = make_parameters(training={"threads": 2, "batch_size": 32})
    process = multiprocessing.get_context("spawn").Process(
        target=estimate_and_fork, args=(parameters.model_dump_json(), labels)
    )
    process.start()
    process.join(90)
    process.kill()
    assert process.exitcode == 0


def estimate_and_fork(dumped, labels):
    parameters = Parameters.model_validate_json(dumped)
    assert "6 trainings" in estimate_cost(ALL, parameters, catalog_of(labels))
    child = multiprocessing.get_context("fork").Process(
        target=measure_step, args=(parameters.model, parameters.training, 32, 4)
    )
    child.start()
    child.join(30)
    child.kill()
    assert child.exitcode == 0


@pytest.mark.usefixtures("timed")
@pytest.mark.parametrize(("store", "share"), [("encoded", 0.5), ("files", 0), ("auto", 1)])
def test_images_take_what_their_store_takes(make_parameters, store, share):
    parameters = make_parameters(data={"source": "catalog", "store": store})
    estimate = estimate_cost(BASELINE, parameters, {"raw_images": RawImages(10**5)})
    assert megabytes_of(estimate) == round((share * 10**5 * 32 * 32 * 3 + WEIGHTS) / 1e6)
