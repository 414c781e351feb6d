"""What a run announces: counts are exact, minutes follow the measured step."""

import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from timm.utils import ModelEmaV3

from mlic.config.cost import count_psd_passes
from mlic.config.parameters import Parameters, check_parameters
from mlic.errors import ParameterError
from mlic.hooks import cost_estimate as plan
from mlic.hooks.cost_estimate import plan_run
from mlic.models.options import BranchedModelOptions
from mlic.pipelines import baseline_training, distillation, teacher_training
from mlic.training.options import TeacherOptions
from mlic.training.step_timing import measure_step

CONF = Path(__file__).resolve().parents[2] / "conf"
ALL = (
    baseline_training.create_pipeline()
    + teacher_training.create_pipeline(("cgp", "dgp"), 2)
    + distillation.create_pipeline(("cgp", "dgp"), 2)
)
EPOCH = 24 + 8 * 2 / 3  # images: 24 to learn from, 8 that raw and averaged weights see


@pytest.fixture
def parameters():
    loader = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")
    raw = loader["parameters"]
    raw["data"] |= {"image_size": 32, "validation_fraction": 0.1, "test_fraction": 0.2}
    raw["training"] |= {"epochs": 10, "augmentation": {"views": 3}, "overrides": {}, "threads": 1}
    raw["teachers"]["mode"] = "separate"
    raw["partition"] |= {"min_size": 1, "strategies": "cgp+dgp"}
    raw["training"] |= {"batch_size": 4, "teacher_epoch_factor": 1, "student_epoch_factor": 1}
    return check_parameters(raw)


@pytest.fixture
def a_second_a_image(monkeypatch):
    """A machine on which an image takes a second and the model has a million weights."""
    monkeypatch.setattr(plan, "_measure_step", lambda *_: (1.0, 10**6, 0.1))


def catalog_of(labels):
    catalog = DataCatalog()
    catalog["labels"] = MemoryDataset(labels)
    return catalog


@pytest.mark.usefixtures("a_second_a_image")
def test_all_trainings_are_counted(parameters, labels):
    told = plan_run(ALL, parameters, catalog_of(labels))
    assert told.startswith("6 trainings (baseline, 2 cgp teachers, 2 dgp teachers, student)")
    assert plan.count_trainings(ALL) == 6
    passes = 10 + 4 * (10 + 3 / 3) + 10  # a teacher says a word on three views, forward only
    assert f"about {round(passes * EPOCH / 60)} minutes" in told
    weights, logits = 6 * 4e6 * 3, 2 * 3 * 24 * 4 * 2 * 2  # half precision; teachers', student's
    assert f"{(36 * 32 * 32 * 3 + weights + logits) / 1e6:.0f} MB" in told


@pytest.mark.usefixtures("a_second_a_image")
def test_one_of_each_is_said_in_the_singular(parameters, labels):
    teacher = teacher_training.create_pipeline(("cgp",), 1)
    told = plan_run(teacher, parameters, catalog_of(labels))
    assert told.startswith("1 training (1 cgp teacher), about 5 minutes")
    quick = plan_run(teacher, parameters, catalog_of(labels.take(range(4))))
    assert "about 1 minute," in quick or "about 2 minutes," in quick


class Raw:
    """A data set of the catalog that has 50 images of 7 labels."""

    def load(self, number=50):
        labels = type("Labels", (), {"space": range(7), "__len__": lambda _: number})()
        return SimpleNamespace(labels=labels)


class Manifest(Raw):
    """One of 200 images, whose labels can be had without them."""

    def load_labels(self):
        return super().load(200).labels

    def load(self):
        raise AssertionError("images are read before the run")


@pytest.mark.usefixtures("a_second_a_image")
@pytest.mark.parametrize(("raw", "minutes"), [(Raw(), 6), (Manifest(), 26)])
def test_labels_not_made_yet_are_counted_at_the_source(parameters, raw, minutes):
    data = parameters.data.model_copy(update={"source": "catalog"})
    catalog = {"raw_images": raw}  # all that is asked of a catalog is get
    baseline = baseline_training.create_pipeline()
    told = plan_run(baseline, parameters.model_copy(update={"data": data}), catalog)
    assert f"about {minutes} minutes" in told  # 10 epochs of 70 % and 2/3 of 10 %


def test_groups_that_the_labels_do_not_fill_are_told_before_a_step_is_timed(parameters):
    raw = parameters.model_dump()
    raw["data"]["source"], raw["partition"]["num_parts"] = "catalog", 8
    with pytest.raises(ParameterError, match="do not fit 7 labels; ask for at most 7"):
        plan_run(ALL, check_parameters(raw), {"raw_images": Raw()})


def test_a_slow_step_is_timed_once(parameters, monkeypatch):
    times = iter([0.0, 3.0])
    clock = SimpleNamespace(perf_counter=lambda: next(times))
    monkeypatch.setattr("mlic.training.step_timing.time", clock)
    seconds, _ = measure_step(parameters.model, parameters.training, 32, 4)
    assert seconds == 3.0 / parameters.training.batch_size


def test_a_timed_step_is_one_of_training(parameters, monkeypatch):
    """The optimiser and the averaged weights take their part of it."""
    done = []
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_a, **_k: done.append("optimiser"))
    monkeypatch.setattr(ModelEmaV3, "update", lambda *_a, **_k: done.append("average"))
    measure_step(parameters.model, parameters.training, 32, 4)
    assert 2 < len(done) <= 16 and done == ["optimiser", "average"] * (len(done) // 2)


@pytest.mark.usefixtures("a_second_a_image")
def test_scenes_are_counted_from_their_parameters(parameters):
    told = plan_run(baseline_training.create_pipeline(), parameters, {})
    assert (
        f"about {round(10 * (0.7 + 0.2 / 3) * parameters.synthetic.num_images / 60)} minutes"
        in told
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_the_plan_processes_can_still_be_forked(parameters, labels):
    """A forked process would hang if the main thread had made OpenMP's workers.

    Other tests make them in this very process, so that the plan is made in a fresh one.
    """
    two = parameters.training.model_copy(update={"threads": 2, "batch_size": 32})
    parameters = parameters.model_copy(update={"training": two})
    fresh = multiprocessing.get_context("spawn").Process(
        target=plan_and_fork, args=(parameters.model_dump_json(), labels)
    )
    fresh.start()
    fresh.join(90)
    fresh.kill()
    assert fresh.exitcode == 0


def plan_and_fork(dumped, labels):
    parameters = Parameters.model_validate_json(dumped)
    assert plan_run(ALL, parameters, catalog_of(labels)).startswith("6 trainings")
    child = multiprocessing.get_context("fork").Process(
        target=measure_step, args=(parameters.model, parameters.training, 32, 4)
    )
    child.start()
    child.join(30)
    child.kill()
    assert child.exitcode == 0


def test_a_wrong_distiller_is_told_before_the_run(parameters, labels):
    soft = {"distiller": {"name": "binary_kl", "options": {"temperture": 2}}}
    raw = parameters.model_dump() | {"distillation": soft}
    with pytest.raises(ParameterError, match="temperture"):
        plan_run(ALL, check_parameters(raw), catalog_of(labels))


@pytest.mark.usefixtures("a_second_a_image")
def test_controls_are_counted_and_told(parameters, labels):
    raw = parameters.model_dump()
    raw["partition"] |= {"strategies": "random+full_label", "num_parts": 2, "num_full_label": 3}
    shape = (("random", "full_label"), 2, 3)
    pipeline = (
        baseline_training.create_pipeline(longer=True)
        + teacher_training.create_pipeline(*shape)
        + distillation.create_pipeline(*shape)
    )
    told = plan_run(pipeline, check_parameters(raw), catalog_of(labels))
    spelt = "baseline, budget_matched_baseline, 3 full_label teachers, 2 random teachers, student"
    assert told.startswith(f"8 trainings ({spelt})")
    psd = 5 * (10 + 3 / 3) + 10
    assert f"about {round((10 + psd + psd) * EPOCH / 60)} minutes" in told
    weights, logits = 8 * 4e6 * 3, (1 + 3) * 3 * 24 * 4 * 2 * 2  # a plain teacher tells all labels
    assert f"{(36 * 32 * 32 * 3 + weights + logits) / 1e6:.0f} MB" in told


def test_the_budget_of_psd_follows_roles_and_strategies(parameters):
    training = parameters.training.model_copy(update={"overrides": {"student": {"epochs": 4}}})
    options = parameters.partition.model_copy(update={"strategies": ("cgp",), "num_parts": 5})
    apart = TeacherOptions(mode="separate")
    assert count_psd_passes(training, options, apart) == pytest.approx(5 * 11 + 4)
    plain = options.model_copy(update={"strategies": ("full_label",), "num_full_label": 2})
    assert count_psd_passes(training, plain, apart) == pytest.approx(2 * 11 + 4)
    joint = plain.model_copy(update={"strategies": ("cgp", "full_label")})
    mixed = count_psd_passes(training, joint, TeacherOptions(mode="joint"))
    assert mixed == pytest.approx((1 + 5 * 0.01) * 11 + 2 * 11 + 4)  # plain ones are never branches
    more = plain.model_copy(update={"strategies": ("full_label", "baseline")})
    assert count_psd_passes(training, more, apart) == pytest.approx(3 * 11 + 4)
    alone = plain.model_copy(update={"strategies": ("baseline",)})
    for mode in ("separate", "joint", "frozen"):
        assert count_psd_passes(training, alone, TeacherOptions(mode=mode)) == 11 + 4


@pytest.mark.usefixtures("a_second_a_image")
def test_a_baseline_that_teaches_is_counted_with_its_targets(parameters, labels):
    raw = parameters.model_dump()
    raw["partition"] |= {"strategies": "baseline+cgp", "num_parts": 2}
    pipeline = (
        baseline_training.create_pipeline(teaches=True)
        + teacher_training.create_pipeline(("cgp",), 2)
        + distillation.create_pipeline(("cgp",), 2, baseline=True)
    )
    told = plan_run(pipeline, check_parameters(raw), catalog_of(labels))
    assert told.startswith("4 trainings (baseline, 2 cgp teachers, student)")
    assert f"about {round((3 * (10 + 3 / 3) + 10) * EPOCH / 60)} minutes" in told
    weights, logits = 4 * 4e6 * 3, (1 + 1) * 3 * 24 * 4 * 2 * 2
    assert f"{(36 * 32 * 32 * 3 + weights + logits) / 1e6:.0f} MB" in told


@pytest.mark.parametrize(
    ("mode", "trunk"),
    [("joint", 10 + 3 / 3), ("frozen", 3 / 3)],  # epochs and views, the latter forward only
)
def test_teachers_in_one_pass_are_told_one_by_one(parameters, labels, monkeypatch, mode, trunk):
    teachers = TeacherOptions(mode=mode)
    parameters = parameters.model_copy(update={"teachers": teachers})
    pipeline = baseline_training.create_pipeline() + teacher_training.create_pipeline(
        ("cgp", "dgp"), 3, mode=mode
    )
    monkeypatch.setattr(plan, "_measure_step", lambda *_: (10.0, 10**6, 0.1))
    told = plan_run(pipeline, parameters, catalog_of(labels))
    assert told.startswith("7 trainings (baseline, 3 cgp teachers, 3 dgp teachers)")
    passes = 10 + trunk + 6 * 0.1 * 11  # a branch is a tenth of a step, and tells three views too
    assert f"about {round(passes * EPOCH * 10 / 60)} minutes" in told
    options = parameters.partition.model_copy(update={"num_parts": 3})
    psd = count_psd_passes(parameters.training, options, teachers)
    assert psd == pytest.approx(trunk + 6 * 0.01 * 11 + 10)  # as on a ResNet-50


def test_the_share_of_a_branch_is_measured_where_it_counts(parameters, monkeypatch):
    told = []

    def measure(model, options, size, num_labels, num_branches=1):
        told.append((type(model).__name__, size, num_labels, num_branches))
        return (2.6 if num_branches > 1 else 2.0), 7

    monkeypatch.setattr("mlic.training.step_timing.measure_step", measure)
    joint = parameters.model_copy(update={"teachers": TeacherOptions(mode="joint")})
    assert plan._measure_step(joint, 12) == pytest.approx((2.0, 7, 0.05))
    assert told == [("ModelOptions", 32, 12, 1), ("BranchedModelOptions", 32, 4, 6)]
    assert plan._measure_step(parameters, 12)[2] == 0.01 and len(told) == 3


def test_a_joint_step_can_be_timed(parameters):
    model = BranchedModelOptions(**parameters.model.model_dump(), branch={"width": 4})
    seconds, weights = measure_step(model, parameters.training, 32, 2, num_branches=3)
    one, fewer = measure_step(model, parameters.training, 32, 2)
    assert seconds > 0 < one and weights > fewer
