"""The gain studies: trainings by the product's nodes, and claims that follow from their rows."""

import importlib
import json
import sys
from argparse import Namespace
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from mlic.images.options import DataOptions
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.models.options import ModelOptions
from mlic.training.distillation_options import DistillationOptions
from mlic.training.options import TrainingOptions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COREL = BENCHMARKS.parents[1] / "shared" / "data" / "corel5k"
STUDIES = ("finetune", "frozen_features", "shift", "ucmerced_5", "ucmerced_10", "ucmerced_20")


@pytest.fixture
def gain(monkeypatch):
    """Import a module of ``benchmarks/gain``."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield lambda name: importlib.import_module(f"gain.{name}")
    for name in [m for m in sys.modules if m == "common" or m.split(".")[0] == "gain"]:
        sys.modules.pop(name)


@pytest.fixture
def make_study(gain, monkeypatch):
    """Make a study by its name, as the script does."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    modules = importlib.import_module("psd_gain").STUDIES
    yield lambda name: gain(modules[name]).make_study(Namespace(study=name, quick=False))
    sys.modules.pop("psd_gain")


def study_data(gain):
    """Label b co-occurs with a in half of a's images; c stands alone."""
    train = [[1, 1, 0], [1, 0, 0], [0, 0, 1]] * 20
    test = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]]
    split = ["train"] * len(train) + ["test"] * len(test)
    ids = [str(i) for i in range(len(split))]
    labels = LabelMatrix(LabelSpace(tuple("abc")), ids, train + test, split)
    return gain("datasets").StudyData(labels)


def test_out_of_context_cells_are_those_in_which_cooccurrence_misleads(gain):
    found = study_data(gain).out_of_context("test")
    # a usually co-occurs with b and b with a; c co-occurs with nothing
    assert found.tolist() == [[1, 0, -1], [-1, -1, -1], [0, 1, -1], [-1, -1, 1]]


def test_scores_are_over_the_labels_that_they_name(gain):
    score, data = gain("datasets").score, study_data(gain)
    truth = data.labels.in_split("test").states
    perfect = score(8.0 * truth - 4, data, "test", fewest=1)
    assert perfect.keys() == {"mAP", "mAP_all", "out_of_context_mAP", "CF1", "OF1"}  # none is rare
    assert perfect["mAP"] == perfect["CF1"] == perfect["OF1"] == 100
    leaning = truth.astype(float)
    leaning[:, 0] = [0, 3, 2, 1]  # a is taken for present where b is
    assert score(leaning, data, "test", fewest=1)["out_of_context_mAP"] < 100


@pytest.mark.skipif(not COREL.is_dir(), reason="Corel5k is not here")
def test_corel_has_one_constant_split(gain):
    labels = gain("datasets").load_corel(COREL).labels
    sizes = {name: len(labels.rows(name)) for name in ("train", "validation", "test")}
    assert sum(sizes.values()) == 4500 and abs(sizes["test"] - 1000) < 50
    assert abs(sizes["validation"] - 500) < 50
    assert (labels.in_split("train").states == 1).sum(axis=0).min() == 3
    assert labels.fingerprint == "377734b96fa4f42c"


def test_few_images_per_class_leave_the_test_split_unchanged(gain):
    ids = [f"{name}{i:02}" for name in ("airplane", "beach") for i in range(12)]
    split = ["test" if i % 6 == 0 else "train" for i in range(24)]
    states = [[i < 12, i >= 12, i == 0] for i in range(24)]  # the last label: a test image's
    labels = LabelMatrix(LabelSpace(tuple("abc")), ids, np.asarray(states, np.int8), split)
    one, other = (gain("datasets").few_per_class(labels, 3, seed) for seed in (0, 1))
    assert one.space.names == ("a", "b")
    assert (one.rows("test") == labels.rows("test")).all()
    for name, number in (("train", 3), ("validation", 5)):
        classes = [image[:-2] for image in one.in_split(name).ids]
        assert sorted(classes) == ["airplane"] * number + ["beach"] * number
    assert one.in_split("train").ids.tolist() != other.in_split("train").ids.tolist()


def test_rows_are_kept_once_and_by_configuration(gain, tmp_path):
    RowStore, baseline = gain("harness").RowStore, ("baseline", 0, "")
    one, other = (RowStore(tmp_path / "study.csv", name) for name in ("121e8123", "other"))
    assert one.rows().empty and one.lacks(baseline, 0)
    one.add(baseline, 0, {"cost": 1.0, "test mAP": 0.1 + 0.2})
    one.add(baseline, 0, {"cost": 9.0, "test mAP": 9.0})
    one.add(("student: CGP", 3, "binary_kl"), 1, {"cost": 2.0, "test mAP": 2.0})
    other.add(baseline, 0, {"cost": 5.0, "test mAP": 5.0})
    assert one.rows().loc[(*baseline, 0)].tolist() == [1.0, 0.1 + 0.2]  # to the bit
    assert not one.lacks(baseline, 0) and one.lacks(baseline, 1)
    assert len(one.rows()) == 2 and len(other.rows()) == 1


def make_rows(effects, seeds=6):
    """Rows of settings (name, K, distiller) with an effect on test and validation, and a cost."""
    rng, rows = np.random.default_rng(0), {}
    for setting, (effect, validation, cost) in effects.items():
        for seed in range(seeds):
            rows[(*setting, seed)] = {
                "cost": cost,
                "cost_shared": cost / 4,
                "validation mAP": 40 + validation,
                "test mAP": 40 + effect + rng.normal(0, 0.1),
                "test out_of_context_mAP": 30 + effect,
            }
    index = pd.MultiIndex.from_tuples(rows, names=["row", "parts", "distiller", "seed"])
    return pd.DataFrame(rows.values(), index).sort_index()


OURS = ("student: CGP + DGP", 3, "binary_kl")
EFFECTS = {
    ("baseline", 0, ""): (0, 0, 1),
    ("student: full-label × 2", 0, "binary_kl"): (1, 1, 4),
    ("student: full-label × 6", 0, "binary_kl"): (1.5, 1.5, 8),
    ("student: full-label × 10", 0, "binary_kl"): (9, 9, 12),
    OURS: (3, 3, 8),
    ("student: CGP + DGP", 3, "logit_mse"): (5, 2, 8),  # better on test: must not be chosen
    ("student: random + random", 3, "binary_kl"): (2.5, 2.5, 8),
    ("student: full-label + CGP + DGP", 3, "binary_kl"): (2.8, 2.8, 9),
    ("ensemble: CGP + DGP", 3, ""): (2, 2, 6),
    ("ensemble: random + random", 3, ""): (2.5, 2, 6),
    ("budget-matched baseline", 3, ""): (0.5, 0.5, 8),
}


def claims_of(gain, effects, columns=()):
    rows = make_rows(effects).drop(columns=list(columns))
    return {claim.name: claim for claim in gain("claims").claims(rows)}


def test_intervals_are_those_of_a_paired_t_test(gain):
    comparison, rows = gain("comparison"), make_rows(EFFECTS)
    value, half = comparison.difference(rows, OURS, comparison.BASELINE)
    ours, baseline = (rows.loc[one, "test mAP"] for one in (OURS, comparison.BASELINE))
    low, high = ttest_rel(ours, baseline).confidence_interval(0.95)
    assert (value - half, value + half) == pytest.approx((low, high))


def test_interval_of_overlapping_training_images_is_wider(gain):
    comparison, rows = gain("comparison"), make_rows(EFFECTS)
    value, half = comparison.difference(rows, OURS, comparison.BASELINE)
    rows["overlap"] = 0.25  # with six seeds, (1/6 + 1/4) / (1/6) of the variance
    same, wider = comparison.difference(rows, OURS, comparison.BASELINE)
    assert same == value and wider == pytest.approx(half * 2.5**0.5)


def test_folds_of_a_division_cover_every_image_once(gain):
    folds = gain("folds")
    states = (np.random.default_rng(0).random((200, 6)) < 0.3).astype(np.int8)
    splits = [folds.fold_split(states, seed) for seed in range(2 * folds.FOLDS)]
    tests = np.array([split == "test" for split in splits])
    assert (tests[: folds.FOLDS].sum(axis=0) == 1).all()
    assert (tests[folds.FOLDS :].sum(axis=0) == 1).all()
    assert (tests[0] != tests[folds.FOLDS]).any()  # another division
    assert tests.sum(axis=1).tolist() == [40] * 10
    assert {name: (splits[3] == name).sum() for name in folds.LEARNING} == {
        "train": 140,
        "validation": 20,
    }


def test_settings_are_chosen_on_validation_and_compared_at_equal_cost(gain):
    comparison, rows = gain("comparison"), make_rows(EFFECTS)
    assert comparison.best(rows, lambda one: one[0] == OURS[0]) == OURS
    equal = ("student: full-label × 6", 0, "binary_kl")
    assert comparison.full_label_of_equal_cost(rows, OURS) == equal


def test_summary_lists_ensembles_first_and_fewer_teachers_before_more(gain):
    lines = gain("comparison").summary(make_rows(EFFECTS))
    shown = [(line["row"], line["distiller"]) for line in lines]
    assert shown[0] == ("baseline", "") and shown[-1] == ("student: CGP + DGP", "logit_mse")
    students = [name for name, _ in shown if name.startswith("student: full-label ×")]
    assert students == [f"student: full-label × {number}" for number in (2, 6, 10)]
    assert [bool(distiller) for _, distiller in shown] == [False] * 4 + [True] * 7


def test_claims_hold_only_where_they_should(gain):
    found = claims_of(gain, EFFECTS)
    assert found["groups_above_full_label_of_equal_cost"].holds
    assert found["groups_above_random_groups"].holds
    assert not found["teachers_of_groups_above_random"].holds
    assert found["student_above_baseline"].holds  # its shared cost is 8 / 4
    assert found["any_student_above_baseline"].value == pytest.approx(9, abs=0.3)
    # CGP + DGP alone are better and cost less:
    assert not found["default_ensemble_unbeaten_at_its_cost"].holds
    found = claims_of(gain, EFFECTS | {OURS: (1.4, 3, 8)})
    assert not found["groups_above_full_label_of_equal_cost"].holds
    assert not found["student_above_baseline"].holds


def test_budget_matched_student_is_the_rival_of_equal_cost(gain):
    claims = gain("claims")
    effects = EFFECTS | {
        ("student: full-label × 1", 0, "binary_kl"): (2.4, 2.4, 2.4),
        claims.LONGER_STUDENT: (2.2, 2.2, 2.6),
        OURS: (3, 3, 2.5),
        ("student: separate CGP + DGP", 3, "binary_kl"): (3.5, 3.5, 8),
    }
    found = claims_of(gain, effects, ["cost_shared"])
    assert found["student_above_baseline"].value == pytest.approx(3, abs=0.3)
    assert found["groups_above_full_label_of_equal_cost"].value == pytest.approx(0.8, abs=0.3)
    assert found["separate_above_joint_groups"].holds
    assert "short_mixed_above_baseline" not in found  # there are no rows of it
    found = claims_of(gain, effects | {OURS: (3, 3, 2.6)}, ["cost_shared"])
    assert found["student_above_baseline"].value == pytest.approx(2.4, abs=0.3)


def test_teachers_of_half_the_epochs_are_compared_at_equal_cost(gain):
    effects = EFFECTS | {
        ("student: short full-label + CGP + DGP", 3, "binary_kl"): (3.5, 2.9, 2.5),
        ("student: short full-label × 2", 0, "binary_kl"): (3, 2.8, 2.4),
    }
    found = claims_of(gain, effects, ["cost_shared"])
    assert found["short_mixed_above_two_full_label"].value == pytest.approx(0.5, abs=0.3)
    assert found["short_mixed_above_baseline"].holds and found["student_above_baseline"].holds
    assert found["student_above_baseline"].unit.startswith("student: short full-label + CGP")


def test_ingredients_without_rows_are_left_out(gain):
    rows = make_rows(EFFECTS | {("student: full-label × 1", 0, "binary_kl"): (2, 2, 2)})
    lines = gain("comparison").contributions(rows, gain("claims").ingredients(rows))
    found = {line["ingredient"]: line for line in lines}
    assert "DGP in addition to CGP" not in found  # no rows of CGP alone
    distillation = found["distillation from one full-label model"]
    assert float(distillation["mAP"].split()[0]) == pytest.approx(2, abs=0.3)
    groups = found["groups by co-occurrence instead of random groups"]
    assert float(groups["mAP"].split()[0]) == pytest.approx(0.5, abs=0.3)
    assert groups["seeds"] == "6" and groups["cost"] == "+0.0"


@pytest.fixture
def measurement(gain, tmp_path):
    """A measurement of thirty tiny images of six labels, by a backbone of few weights."""
    rng, side = np.random.default_rng(0), 32
    ids = [f"p{i}" for i in range(30)]
    split = ["train"] * 18 + ["validation"] * 6 + ["test"] * 6
    states = (rng.random((30, 6)) < 0.4).astype(np.int8)
    labels = LabelMatrix(LabelSpace(tuple("abcdef")), ids, states, split)
    pixels = rng.integers(0, 256, (30, side, side, 3), dtype=np.uint8)
    training = TrainingOptions(
        epochs=1, batch_size=6, learning_rate=1e-3, augmentation={"views": 2}, threads=1
    )
    inputs = {
        "images": ImageStore.from_arrays(ids, pixels),
        "labels": labels,
        "data": DataOptions(image_size=side),
        "model": ModelOptions(backbone="test_resnet"),
        "training": training,
        "seed": 0,
    }
    data, product = gain("datasets").StudyData(labels), gain("product")
    partition = partial(data.partition, parts=2, seed=0)
    trainings = product.Trainings(inputs, partition, tmp_path / "trainings")

    def score(models):
        logits = trainings.predict(models, inputs["images"], labels.rows("test"))
        assert logits.shape == (6, 6) and np.isfinite(logits).all()
        return {"validation mAP": 1.0, "test mAP": 1.0}

    store = gain("harness").RowStore(tmp_path / "rows.csv", "c")
    return product.Measurement(store, trainings, score)


@pytest.mark.parametrize(
    ("mode", "trunk"),
    [
        ("joint", None),
        pytest.param("separate", None, marks=pytest.mark.slow),
        pytest.param("frozen", "baseline", marks=pytest.mark.slow),
    ],
)
def test_teachers_of_every_mode_know_every_label_and_are_trained_once(
    gain, measurement, mode, trunk
):
    team = gain("product").Team
    strategies = ("cgp", "random", "random_2") if mode == "joint" else ("cgp", "dgp")
    group_teachers = team(mode, strategies, trunk=team(trunk) if trunk else None)
    made = measurement.trainings.team(group_teachers)
    assert len(made.checkpoints) == len(made.logits) == 2 * len(strategies)
    assert {one.strategy for one in made.logits} == set(strategies)
    measurement.score([made])
    again = measurement.trainings.team(group_teachers)
    assert again.seconds == made.seconds
    assert [one.fingerprint for one in again.checkpoints] == [
        one.fingerprint for one in made.checkpoints
    ]
    student = measurement.trainings.student("these", [made], DistillationOptions())
    measurement.score([student])


def test_an_ensemble_is_the_mean_over_the_models_that_know_a_label(gain, measurement):
    trainings, team = measurement.trainings, gain("product").Team
    one, two = trainings.baseline, trainings.team(team("full_label"))
    images, rows = trainings.inputs["images"], np.arange(4)
    separate = [trainings.predict([model], images, rows) for model in (one, two)]
    together = trainings.predict([one, two], images, rows)
    np.testing.assert_allclose(together, np.mean(separate, axis=0))


def test_finetune_rows_include_the_models_of_equal_cost(gain, measurement):
    finetune, names = gain("finetune"), gain("finetune").FIRST
    finetune.measure(measurement, names)
    rows = measurement.store.rows()
    found = set(rows.index.get_level_values("row"))
    assert found == {
        "baseline",
        "budget-matched baseline",
        gain("claims").LONGER_STUDENT[0],
        *(f"student: {name}" for name in names),
        *(f"ensemble: {name}" for name in names[1:]),  # the baseline alone has a row
    }
    cost = rows["cost"].droplevel(["parts", "distiller", "seed"])
    assert cost["student: CGP + DGP"] > cost["ensemble: CGP + DGP"] and cost["baseline"] == 1
    finetune.measure(measurement, names)
    assert len(measurement.store.rows()) == len(rows)


@pytest.mark.slow
def test_candidates_are_measured_beside_the_standing_rows(gain, measurement, monkeypatch):
    folds = gain("folds")
    monkeypatch.setattr(folds, "SIZES", (16, 32))
    folds.measure(measurement, tuple(folds.CANDIDATES))
    rows = measurement.store.rows()
    cost = rows["cost"].droplevel("seed")
    assert cost[folds.SOUP] > cost[folds.SAME_START] > 1
    found = {setting for setting in cost.index}
    assert {folds.GROWING, folds.GROWN_TEACHER, folds.PLAIN, *folds.STANDING.values()} <= found
    assert {(folds.PLAIN[0], 0, name) for name in folds.LINKED} <= found
    names = {claim.name for claim in folds.claims(rows)}
    assert "screened: soup_above_baseline" in names and "default_above_baseline" in names
    folds.measure(measurement, tuple(folds.CANDIDATES))
    assert len(measurement.store.rows()) == len(rows)


def test_random_groups_have_the_sizes_of_the_groups_they_control(gain):
    rng = np.random.default_rng(0)
    states = (rng.random((60, 12)) < 0.3).astype(np.int8)
    ids = [str(i) for i in range(60)]
    space = LabelSpace(tuple("abcdefghijkl"))
    data = gain("datasets").StudyData(LabelMatrix(space, ids, states, ["train"] * 60))
    cgp, random = (data.partition(name, 2, seed=0) for name in ("cgp", "random"))
    assert [len(part) for part in random.parts] == [len(part) for part in cgp.parts]
    assert min(len(part) for part in cgp.parts) >= 3  # half of the fair share
    assert random.parts != cgp.parts


def test_full_shift_breaks_cooccurrence(gain):
    scenes = importlib.import_module("common").load_parameters([]).synthetic

    def correlation(shift):
        """Mean correlation of two labels of one community."""
        _, labels = gain("shift").shifted_scenes(scenes, seed=0, shift=shift, number=150)
        between = np.nan_to_num(np.corrcoef(labels.states.T))
        size = scenes.labels_per_community
        blocks = np.kron(np.eye(len(between) // size), np.ones((size, size)))
        inside = blocks - np.eye(len(between))
        return (between * inside).sum() / inside.sum()

    assert correlation(0.0) > correlation(1.0) + 0.05


@pytest.mark.parametrize("name", STUDIES)
def test_committed_claims_follow_from_committed_rows(gain, make_study, name):
    study = make_study(name)
    kept = json.loads((gain("harness").RESULTS / f"{name}.json").read_text())
    rows = study.confirmed().rows()
    assert len(rows) == kept["header"]["rows"]
    assert [asdict(claim) for claim in study.claims(rows)] == kept["claims"]
    added = gain("comparison").contributions(rows, study.ingredients(rows))
    assert added == kept["ingredients"]


@pytest.mark.parametrize("name", STUDIES)
def test_new_rows_are_not_mixed_with_those_of_another_configuration(make_study, name):
    study = make_study(name)
    assert study.store().config != study.confirmed().config
    assert study.store().config == make_study(name).store().config
