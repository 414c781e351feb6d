"""Cost of a run, counted in training passes over the images."""

from pathlib import Path

import pytest

from mlic.config.cost import (
    BRANCH_SHARE,
    FORWARD_SHARE,
    count_averaged_images,
    count_group_teachers,
    count_passes,
    count_psd_passes,
)
from mlic.config.parameters import check_parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.training.distillation_options import AveragingOptions

CONF = Path(__file__).resolve().parents[2] / "conf"
TEACHER = 10 + 3 * FORWARD_SHARE  # ten epochs, and three views whose logits are predicted


@pytest.fixture
def make_parameters():
    """Make parameters with ten epochs and three views, and other values for two sections."""
    loader = RecipeConfigLoader(str(CONF), base_env="base", default_run_env="base")
    raw = loader["parameters"]
    factors = {"teacher_epoch_factor": 1, "student_epoch_factor": 1}
    raw["training"] |= {"epochs": 10, "augmentation": {"views": 3}, "overrides": {}, **factors}

    def make(strategies, mode="separate", num_parts=5, num_full_label=2, **training):
        partition = {
            "strategies": strategies,
            "num_parts": num_parts,
            "num_full_label": num_full_label,
        }
        changed = {
            "partition": raw["partition"] | partition,
            "training": raw["training"] | training,
            "teachers": raw["teachers"] | {"mode": mode},
        }
        return check_parameters({**raw, **changed})

    return make


def count_psd(parameters):
    training, size = parameters.training, parameters.data.image_size
    return count_psd_passes(training, parameters.partition, parameters.teachers, size)


@pytest.mark.parametrize(
    ("strategies", "expected"),
    [
        ("cgp", 5 * TEACHER),
        ("full_label", 2 * TEACHER),
        ("full_label+baseline", 3 * TEACHER),
        ("baseline", TEACHER),
    ],
)
def test_budget_of_psd_counts_all_teachers_and_the_student(make_parameters, strategies, expected):
    parameters = make_parameters(strategies, overrides={"student": {"epochs": 4}})
    assert count_psd(parameters) == pytest.approx(expected + 4)


@pytest.mark.parametrize(("mode", "trunk"), [("joint", TEACHER), ("frozen", 3 * FORWARD_SHARE)])
def test_branches_cost_a_trunk_and_a_share_for_each(make_parameters, mode, trunk):
    parameters = make_parameters("cgp+full_label", mode)
    branches = trunk + 5 * BRANCH_SHARE * TEACHER
    # full-label teachers are never branches
    assert count_psd(parameters) == pytest.approx(branches + 2 * TEACHER + 10)


@pytest.mark.parametrize("mode", ["separate", "joint", "frozen"])
def test_baseline_as_only_teacher_costs_the_same_in_every_mode(make_parameters, mode):
    assert count_psd(make_parameters("baseline", mode)) == pytest.approx(TEACHER + 10)


def test_passes_of_each_role(make_parameters):
    parameters = make_parameters("cgp+full_label")
    passes = {
        role: count_passes(parameters, role, BRANCH_SHARE)
        for role in ("baseline", "student", "cgp", "full_label", "budget_matched_baseline")
    }
    assert passes == pytest.approx(
        {
            "baseline": 10,
            "student": 10,
            "cgp": TEACHER,
            "full_label": TEACHER,
            "budget_matched_baseline": round(7 * TEACHER + 10),
        }
    )
    teaching = make_parameters("baseline")
    assert count_passes(teaching, "baseline", BRANCH_SHARE) == pytest.approx(TEACHER)


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_larger_images_cost_as_much_as_their_pixels(make_parameters, mode):
    # five epochs at half the side, five at the usual side; targets at the last side
    own = {"teacher": {"sizes": [24, 48]}}
    parameters = make_parameters("cgp+full_label+baseline", mode, overrides=own)
    teacher = 5 / 4 + 5 + 3 * FORWARD_SHARE
    groups = teacher * (5 if mode == "separate" else 1 + 5 * BRANCH_SHARE)
    assert count_psd(parameters) == pytest.approx(groups + 2 * teacher + TEACHER + 10)


def test_spliced_images_cost_their_share(make_parameters):
    own = {"student": {"splice": {"share": 0.25}}}
    parameters = make_parameters("baseline", overrides=own)
    assert count_psd(parameters) == pytest.approx(TEACHER + 12.5)
    assert count_passes(parameters, "student", BRANCH_SHARE) == 12.5


def test_average_predicts_views_and_validation_images_of_every_share():
    off, few = AveragingOptions(), AveragingOptions(enabled=True, shares=(0.25, 0.75), images=100)
    assert count_averaged_images(off, 500, 50) == 0
    assert count_averaged_images(few, 500, 50) == 3 * 150  # and the middle
    assert count_averaged_images(few, 60, 50) == 3 * 110


def test_trunk_is_divided_among_its_branches(make_parameters):
    parameters = make_parameters("cgp+dgp", "joint", num_parts=2)
    one = count_passes(parameters, "dgp", branch=0.1)
    assert 4 * one == pytest.approx(TEACHER + 4 * 0.1 * TEACHER)


def test_teachers_of_parts_are_counted_over_all_strategies(make_parameters):
    partition = make_parameters("baseline+cgp+random+full_label", num_parts=3).partition
    assert count_group_teachers(partition) == 6
