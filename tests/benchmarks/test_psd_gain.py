"""The machinery of the gain study: fair trainings, honest scores, claims that follow from rows."""

import importlib
import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel

from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.models.options import ModelOptions
from mlic.training.options import DistillationOptions, TrainingOptions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COREL = BENCHMARKS.parents[1] / "shared" / "data" / "corel5k"
RESULTS = BENCHMARKS / "results" / "psd_gain"
FEW = ("ucmerced_5", "ucmerced_10", "ucmerced_20")
STUDIES = ("wide", "narrow", "shift", *FEW)


@pytest.fixture
def gain(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield lambda name: importlib.import_module(f"gain.{name}")
    for name in [
        m for m in sys.modules if m in ("common", "psd_gain") or m.split(".")[0] == "gain"
    ]:
        sys.modules.pop(name)


def features(views=3, images=24, width=5):
    return torch.randn(views, images, width, generator=torch.Generator().manual_seed(0))


def states(images=24, labels=4):
    drawn = torch.rand(images, labels, generator=torch.Generator().manual_seed(1))
    return (drawn < 0.4).to(torch.int8)


@pytest.fixture
def recipe(gain):
    return gain("hidden").Recipe(2, 0.01, 6, 0.2, 0.3, 0.1, 8)


def test_a_model_is_the_same_whatever_it_is_trained_beside(gain, recipe):
    hidden = gain("hidden")
    columns = hidden.stack_columns([[0, 1, 2, 3], [2], [1, 3]])
    together = hidden.train(features(), states(), columns, [7, 8, 9], recipe)
    for model, group in enumerate([[0, 1, 2, 3], [2], [1, 3]]):
        own = hidden.stack_columns([group])
        if len(group) < columns.shape[1]:  # the seed also draws the weights that go unused
            own = columns[model : model + 1]
        alone = hidden.train(features(), states(), own, [7 + model], recipe)
        x = features()[0]
        torch.testing.assert_close(
            hidden.predict(alone, 0, x), hidden.predict(together, model, x), rtol=1e-4, atol=1e-5
        )


def test_a_group_teacher_sees_no_label_of_another_group(gain, recipe):
    hidden = gain("hidden")
    other = states()
    other[:, 2:] = 1 - other[:, 2:]
    columns = hidden.stack_columns([[0, 1]])
    one, two = (hidden.train(features(), s, columns, [3], recipe) for s in (states(), other))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_student_without_hard_labels_goes_to_its_teacher(gain):
    hidden = gain("hidden")
    recipe = hidden.Recipe(300, 0.02, 64, 0.0, 0.0, 0.0, 8)
    teacher = 3 * torch.randn(1, 1, 24, 4, generator=torch.Generator().manual_seed(2))
    columns = hidden.stack_columns([range(4)])
    x = features(views=1)
    soft = hidden.Distillation("logit_mse", hard=0.0)
    student = hidden.train(x, states(), columns, [1], recipe, [teacher], soft)
    said = hidden.predict(student, 0, x)
    assert (said - teacher[0]).abs().mean() < 0.2 * teacher.abs().mean()


def test_specialists_start_from_the_plain_model(gain, recipe):
    hidden = gain("hidden")
    plain = hidden.train(features(), states(), hidden.stack_columns([range(4)]), [1], recipe)
    grown = hidden.grow([w.repeat_interleave(2, 0) for w in plain], torch.tensor([[0, 3], [1, -1]]))
    x = features()[0]
    torch.testing.assert_close(hidden.predict(grown, 0, x), hidden.predict(plain, 0, x)[:, [0, 3]])
    torch.testing.assert_close(hidden.predict(grown, 1, x)[:, 0], hidden.predict(plain, 0, x)[:, 1])


def words(gain):
    """Word b stands beside a in half of a's images; c stands alone."""
    train = [[1, 1, 0], [1, 0, 0], [0, 0, 1]] * 20
    test = [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]]
    split = ["train"] * len(train) + ["test"] * len(test)
    ids = [str(i) for i in range(len(split))]
    return gain("corel").Words(LabelMatrix(LabelSpace(tuple("abc")), ids, train + test, split))


def test_out_of_context_cells_are_those_in_which_company_misleads(gain):
    found = words(gain).out_of_context("test")
    # a: its companion is b; b: its companion is a; c has none
    assert found.tolist() == [[1, 0, -1], [-1, -1, -1], [0, 1, -1], [-1, -1, 1]]


def test_scores_are_of_the_words_they_name(gain, monkeypatch):
    scoring = gain("scoring")
    monkeypatch.setattr(scoring, "FEWEST", 1)
    own = words(gain)
    truth = own.labels.in_split("test").states
    figures = set(scoring.judge(8.0 * truth - 4, own, "test"))
    assert figures == {*scoring.COLUMNS} - {"mAP_rare"}  # no word is rare
    perfect = scoring.judge(8.0 * truth - 4, own, "test")
    assert perfect["mAP"] == perfect["CF1"] == perfect["OF1"] == 100
    leaning = truth.astype(float)
    leaning[:, 0] = [0, 3, 2, 1]  # a is taken for present where b is
    assert scoring.judge(leaning, own, "test")["out_of_context_mAP"] < 100


@pytest.mark.skipif(not COREL.is_dir(), reason="Corel5k is not here")
def test_corel_is_split_once_and_for_all(gain):
    labels = gain("corel").load_corel(COREL).labels
    sizes = {name: len(labels.rows(name)) for name in ("train", "validation", "test")}
    assert sum(sizes.values()) == 4500 and abs(sizes["test"] - 1000) < 50
    assert abs(sizes["validation"] - 500) < 50
    assert (labels.in_split("train").states == 1).sum(axis=0).min() == 3
    assert labels.fingerprint == gain("corel").load_corel(COREL).labels.fingerprint
    assert labels.fingerprint == "377734b96fa4f42c"


def test_the_store_goes_on_where_it_stopped(gain, tmp_path):
    rows = gain("rows")
    one, other = (rows.RowStore(tmp_path / "study.jsonl", name) for name in ("one", "other"))
    row = {"row": "baseline", "parts": 0, "distiller": "", "seed": 0}
    one.add([row])
    one.add([row | {"again": True}, row | {"seed": 1}])
    other.add([row])
    assert [kept["seed"] for kept in one.rows()] == [0, 1] and "again" not in one.rows()[0]
    assert not one.lacks("baseline", 0, "", [0, 1]) and one.lacks("baseline", 0, "", [2])
    assert len(other.rows()) == 1


def leave(task):
    """Append a task to a file, unless another of its seed has not been there before it."""
    file, seed, place = task
    done = file.read_text().split() if file.is_file() else []
    assert [entry for entry in done if entry[0] == str(seed)] == [
        f"{seed}{i}" for i in range(place)
    ]
    with file.open("a") as opened:
        opened.write(f"{seed}{place} ")


@pytest.mark.parametrize("workers", [1, 2])
def test_first_tasks_of_all_seeds_come_first(gain, tmp_path, workers, monkeypatch):
    pool = gain("pool")
    monkeypatch.setattr(pool, "ProcessPoolExecutor", lambda n, *_: ThreadPoolExecutor(n))
    file = tmp_path / "done"
    work = {seed: [(file, seed, place) for place in range(2 + seed)] for seed in range(3)}
    pool.spread(work, leave, workers)
    done = file.read_text().split()
    assert sorted(done) == ["00", "01", "10", "11", "12", "20", "21", "22", "23"]
    if workers == 1:
        assert [entry[1] for entry in done] == list("000111223")


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc to see processes")
def test_a_study_that_is_killed_leaves_no_process_behind(tmp_path):
    script = f"""
import os, time
from pathlib import Path
from gain.pool import spread

def linger(task):
    Path(r"{tmp_path}", "pid").write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    spread({{0: [0]}}, linger, 2)
"""
    (tmp_path / "study.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    study = subprocess.Popen([sys.executable, tmp_path / "study.py"], env=environment)
    told = tmp_path / "pid"
    _wait_until(lambda: told.is_file() and told.read_text())
    study.kill()
    study.wait()
    _wait_until(lambda: not _runs(int(told.read_text())))


def _runs(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait_until(happens, seconds=20):
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)


def make_rows(effects, seeds=6):
    """Rows of settings (name, K, distiller) with an effect on test and validation, and a cost."""
    rng = np.random.default_rng(0)
    rows = []
    for (name, parts, distiller), (effect, validation, cost) in effects.items():
        for seed in range(seeds):
            row = {"row": name, "parts": parts, "distiller": distiller, "seed": seed}
            figures = {"mAP": 40 + effect + rng.normal(0, 0.1), "out_of_context_mAP": 30 + effect}
            row |= {"test": figures, "validation": {"mAP": 40 + validation}}
            rows.append(row | {"cost": cost, "cost_shared": cost / 4})
    return rows


EFFECTS = {
    ("baseline", 0, ""): (0, 0, 1),
    ("student: plain × 2", 0, "binary_kl"): (1, 1, 4),
    ("student: plain × 6", 0, "binary_kl"): (1.5, 1.5, 8),
    ("student: plain × 10", 0, "binary_kl"): (9, 9, 12),
    ("student: CGP + DGP", 3, "binary_kl"): (3, 3, 8),
    ("student: CGP + DGP", 3, "logit_mse"): (5, 2, 8),  # better on test: must not be chosen
    ("student: random + random", 3, "binary_kl"): (2.5, 2.5, 8),
    ("student: plain + CGP + DGP", 3, "binary_kl"): (2.8, 2.8, 9),
    ("together: CGP + DGP", 3, ""): (2, 2, 6),
    ("together: random + random", 3, ""): (2.5, 2, 6),
    ("baseline with PSD's budget", 3, ""): (0.5, 0.5, 8),
}


def test_intervals_are_those_of_a_paired_t_test(gain):
    rows = make_rows(EFFECTS)
    report = gain("report")
    ours = ("student: CGP + DGP", 3, "binary_kl")
    value, half = report.difference(rows, ours, report.BASELINE)
    by = {
        s: [r["test"]["mAP"] for r in rows if r["row"] == s[0] and r["distiller"] == s[2]]
        for s in (ours, report.BASELINE)
    }
    low, high = ttest_rel(*by.values()).confidence_interval(0.95)
    assert (value - half, value + half) == pytest.approx((low, high))


def test_settings_are_chosen_on_validation_and_compared_at_equal_cost(gain):
    rows, report = make_rows(EFFECTS), gain("report")
    ours = report.best(rows, lambda one: one[0] == "student: CGP + DGP")
    assert ours == ("student: CGP + DGP", 3, "binary_kl")
    assert report.plain_of_equal_cost(rows, ours) == ("student: plain × 6", 0, "binary_kl")


def test_the_table_tells_teachers_first_and_fewer_models_before_more(gain):
    lines = gain("report").summary(make_rows(EFFECTS))
    told = [(line["row"], line["distiller"]) for line in lines]
    assert told[0] == ("baseline", "") and told[-1] == ("student: CGP + DGP", "logit_mse")
    plain = [name for name, _ in told if name.startswith("student: plain ×")]
    assert plain == ["student: plain × 2", "student: plain × 6", "student: plain × 10"]
    assert [bool(distiller) for _, distiller in told] == [False] * 4 + [True] * 7


def test_wide_claims_hold_only_where_they_should(gain):
    found = {claim.name: claim for claim in gain("wide").claims(make_rows(EFFECTS))}
    assert found["groups_above_plain_of_equal_cost"].holds
    assert found["groups_above_random_groups"].holds
    assert not found["teachers_of_groups_above_random"].holds
    assert found["student_above_baseline"].holds  # of cost 8 / 4
    assert found["any_student_above_baseline"].value == pytest.approx(9, abs=0.3)
    assert not found["default_committee_unbeaten_at_its_cost"].holds  # CGP + DGP alone are better
    worse = EFFECTS | {("student: CGP + DGP", 3, "binary_kl"): (1.4, 3, 8)}
    found = {claim.name: claim for claim in gain("wide").claims(make_rows(worse))}
    assert not found["groups_above_plain_of_equal_cost"].holds
    assert not found["student_above_baseline"].holds


def test_narrow_claims_compare_at_equal_cost_and_modes(gain):
    narrow = gain("narrow")
    effects = EFFECTS | {
        ("baseline", 0, ""): (0, 0, 1),
        ("student: plain × 1", 0, "binary_kl"): (2.4, 2.4, 2.4),
        ("student: plain × 1", 0, "logit_mse"): (9, 1, 2.4),  # better on test: must not be chosen
        (narrow.LONGER_STUDENT, 0, "binary_kl"): (2.2, 2.2, 2.6),
        ("student: CGP + DGP", 3, "binary_kl"): (3, 3, 2.5),
        ("student: CGP + DGP", 3, "logit_mse"): (5, 2, 2.5),
        ("student: slow CGP + DGP", 3, "binary_kl"): (3.5, 3.5, 8),
    }
    found = {claim.name: claim for claim in narrow.claims(make_rows(effects))}
    assert found["student_above_baseline"].value == pytest.approx(3, abs=0.3)
    assert found["groups_above_plain_of_equal_cost"].value == pytest.approx(0.8, abs=0.3)
    assert found["slow_above_fast_groups"].holds
    assert not found["default_committee_unbeaten_at_its_cost"].holds  # the slow one is cheaper
    assert "short_mixed_above_baseline" not in found  # there are no rows of it
    dearer = effects | {("student: CGP + DGP", 3, "binary_kl"): (3, 3, 2.6)}
    found = {claim.name: claim for claim in narrow.claims(make_rows(dearer))}
    assert found["student_above_baseline"].value == pytest.approx(2.4, abs=0.3)


def test_teachers_of_half_the_epochs_are_compared_at_equal_cost(gain):
    narrow = gain("narrow")
    effects = EFFECTS | {
        (narrow.LONGER_STUDENT, 0, "binary_kl"): (2.2, 2.2, 2.6),
        ("student: CGP + DGP", 3, "binary_kl"): (3, 3, 2.6),
        ("student: short plain + CGP + DGP", 3, "binary_kl"): (3.5, 2.9, 2.5),
        (narrow.SHORT_PLAIN, 0, "binary_kl"): (3, 2.8, 2.4),
    }
    found = {claim.name: claim for claim in narrow.claims(make_rows(effects))}
    assert found["short_mixed_above_two_plain"].value == pytest.approx(0.5, abs=0.3)
    assert found["short_mixed_above_baseline"].holds and found["student_above_baseline"].holds
    assert found["student_above_baseline"].unit.startswith("student: short plain + CGP")


def test_costs_measured_for_themselves_take_the_place_of_the_rows(gain, tmp_path):
    store = gain("rows").RowStore(tmp_path / "narrow.jsonl", "c")
    store.add([{"row": r, "parts": 0, "distiller": "", "seed": 0, "cost": 9.0} for r in "ab"])
    (tmp_path / "narrow_costs.json").write_text(json.dumps({"costs": {"a": 2.5}}))
    assert {row["row"]: row["cost"] for row in store.rows()} == {"a": 2.5, "b": 9.0}


def test_ingredients_are_added_one_by_one(gain):
    effects = EFFECTS | {("student: plain × 1", 0, "binary_kl"): (2, 2, 2)}
    rows = make_rows(effects)
    lines = gain("report").contributions(rows, gain("wide").ingredients(rows))
    found = {line["ingredient"]: line for line in lines}
    assert "DGP beside CGP" not in found  # no rows of CGP alone
    assert float(found["to learn from a plain model"]["mAP"].split()[0]) == pytest.approx(
        2, abs=0.3
    )
    company = found["groups by company"]
    assert float(company["mAP"].split()[0]) == pytest.approx(0.5, abs=0.3)
    assert company["seeds"] == "6" and company["cost"] == "+0.0"
    narrow = gain("report").contributions(rows, gain("narrow").ingredients(rows))
    assert {"groups by company", "a longer training"} < {line["ingredient"] for line in narrow}


def test_a_part_is_widened_by_those_that_keep_it_company(gain):
    ways = gain("tries").Ways(gain("committees").Field({}, words(gain)), [0])
    company = np.array([[0, 5, 1, 2], [5, 0, 1, 2], [1, 1, 0, 9], [2, 2, 9, 0]])
    assert ways._widened([0, 1], company) == [0, 1, 3]


def test_the_committee_that_ranks_a_label_better_weighs_more(gain):
    committees = gain("committees")
    truth = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=np.int8)
    labels = LabelMatrix(LabelSpace(("a", "b")), list("1234"), truth, ["validation"] * 4)
    ways = gain("tries").Ways(committees.Field({}, gain("corel").Words(labels)), [0])
    right = torch.tensor(2.0 * truth - 1)[None]
    mixed = [
        torch.stack([right[..., 0], -right[..., 1]], -1),
        torch.stack([-right[..., 0], right[..., 1]], -1),
    ]
    ways.usual = [committees.Opinion(x[:, None].half(), x, x) for x in mixed]
    weighed = ways._weighed().validation
    assert (weighed * right > 0.5).all()  # each label by the committee that is right of it


def test_logits_move_towards_the_average_over_a_images_views(gain):
    committees = gain("committees")
    ways = gain("tries").Ways(committees.Field({}, words(gain)), [0])
    logits = torch.tensor([[1.0, 5.0], [3.0, -5.0]])[None, :, :, None]  # 2 views, 2 images
    ways.usual = [committees.Opinion(logits.half(), logits, logits)]
    ((half,), (whole,)) = (ways._over_views(share) for share in (0.5, 1.0))
    assert half.train[0, ..., 0].tolist() == [[1.5, 2.5], [2.5, -2.5]]
    assert whole.train[0, ..., 0].tolist() == [[2, 0], [2, 0]]


def test_few_images_of_every_class_leave_the_test_split_alone(gain):
    ids = [f"{name}{i:02}" for name in ("airplane", "beach") for i in range(12)]
    split = ["test" if i % 6 == 0 else "train" for i in range(24)]
    states = [[i < 12, i >= 12, i == 0] for i in range(24)]  # the last label: a test image's
    labels = LabelMatrix(LabelSpace(tuple("abc")), ids, np.asarray(states, np.int8), split)
    one, other = (gain("merced").few_of_each(labels, 3, seed) for seed in (0, 1))
    assert one.space.names == ("a", "b")
    assert (one.rows("test") == labels.rows("test")).all()
    for name, number in (("train", 3), ("validation", 5)):
        classes = [image[:-2] for image in one.in_split(name).ids]
        assert sorted(classes) == ["airplane"] * number + ["beach"] * number
    assert one.in_split("train").ids.tolist() != other.in_split("train").ids.tolist()


def test_of_each_option_the_best_on_validation_is_kept(gain, tmp_path, monkeypatch, caplog):
    module = gain("finetuned_tuning")

    def score(task):
        _, store, one, seed = task
        training, student = one
        value = -1e3 * abs(training["learning_rate"] - 1e-3) - abs(training["epochs"] - 80)
        row = {"row": module._name(one), "parts": 0, "distiller": "", "seed": seed}
        soft = student.get("soft_weight", 0)
        store.add([row | {"validation": {"mAP": value + soft + seed}}])

    monkeypatch.setattr(module, "_run_try", score)
    with caplog.at_level("INFO"):
        options = Namespace(study="ucmerced_10", quick=False, workers=1)
        module.tune(options, tmp_path / "tries.jsonl")
    training, student = json.loads(caplog.messages[-1].removeprefix("chosen: "))
    assert training["learning_rate"] == 1e-3 and training["epochs"] == 80
    assert student["soft_weight"] == 1.0
    seeds = {json.loads(line)["seed"] for line in (tmp_path / "tries.jsonl").open()}
    assert min(seeds) >= 100


@pytest.mark.parametrize(
    ("scores", "epochs"), [((41.0, 41.2, 41.25), 40), ((41.0, 41.4, 41.5), 80), ((41, 40, 42), 120)]
)
def test_more_epochs_are_taken_only_if_they_are_worth_it(gain, monkeypatch, scores, epochs):
    tuning, config = gain("tuning"), gain("config")
    told = dict(zip((40, 80, 120), scores, strict=True))
    search = tuning._Search(None, config.CONFIG, None)
    monkeypatch.setattr(search, "_score", lambda stage, one: told[one[0].epochs])
    tries = [(replace(config.START, epochs=own), None) for own in told]
    assert search._choose("teacher", tries)[0].epochs == epochs


@pytest.fixture
def ground(gain, monkeypatch, tmp_path):
    """Thirty tiny images of six words, two groups, a backbone of a few thousand weights."""
    finetuned = gain("finetuned")
    monkeypatch.setattr(finetuned, "CACHE", tmp_path)
    rng = np.random.default_rng(0)
    ids, side = [f"p{i}" for i in range(30)], 32
    pixels = rng.integers(0, 256, (30, side, side, 3), dtype=np.uint8)
    split = ["train"] * 18 + ["validation"] * 6 + ["test"] * 6
    drawn = (rng.random((30, 6)) < 0.4).astype(np.int8)
    return finetuned.Ground(
        images=ImageStore.from_arrays(ids, pixels),
        words=gain("corel").Words(LabelMatrix(LabelSpace(tuple("abcdef")), ids, drawn, split)),
        image_size=side,
        model=ModelOptions(backbone="test_resnet"),
        options=TrainingOptions(
            epochs=1, batch_size=6, learning_rate=1e-3, augmentation={"views": 2}, threads=1
        ),
        parts=2,
    )


@pytest.mark.parametrize(
    "mode",
    [
        "joint",
        pytest.param("separate", marks=pytest.mark.slow),
        pytest.param("frozen@0", marks=pytest.mark.slow),
    ],
)
def test_every_mode_says_something_of_every_word_and_is_kept(gain, ground, mode, monkeypatch):
    models = gain("finetuned").Models(ground, seed=0)
    said = models.groups(mode, ["cgp", "dgp"])
    assert list(said) == ["cgp", "dgp"]
    for one in said.values():
        assert one["train"].shape == (2, 18, 6) and one["test"].shape == (6, 6)
        assert all(np.isfinite(values).all() for values in one.values())
    options = DistillationOptions()
    student = models.student(said, options)
    assert np.isfinite(student["validation"]).all() and "train" not in student
    monkeypatch.setattr(gain("finetuned").Models, "_teachers", None)  # must not be asked again
    again = gain("finetuned").Models(ground, seed=0).groups(mode, ["cgp", "dgp"])
    assert (again["cgp"]["train"] == said["cgp"]["train"]).all()


def test_groups_cost_what_as_many_plain_teachers_do(gain):
    wide, config = gain("wide"), gain("config").CONFIG
    field = Namespace(features={"train": torch.zeros(8, 1, 1)})
    study = wide.Study(field, config, [0], 3)
    plain = [f"plain_{i}" for i in range(6)]
    assert study._passes(["cgp", "dgp"], True) == pytest.approx(study._passes(plain, True))
    assert wide.costs(config.teacher.epochs, config.teacher.epochs)["cost_shared"] == 1


def test_a_full_shift_breaks_company(gain):
    shifted_scenes = gain("scenes").shifted_scenes
    scenes = gain("shift").load_parameters(quick=True).synthetic

    def company(amount):
        """Mean correlation of two labels of one community."""
        _, labels = shifted_scenes(scenes, seed=0, shift=amount, number=150)
        between = np.nan_to_num(np.corrcoef(labels.states.T))
        inside = np.kron(np.eye(3), np.ones((4, 4))) - np.eye(12)
        return (between * inside).sum() / inside.sum()

    assert company(0.0) > company(1.0) + 0.05


@pytest.mark.parametrize("study", STUDIES)
def test_committed_claims_follow_from_committed_rows(gain, study):
    file = RESULTS / f"{study}.json"
    if not file.is_file():
        pytest.skip(f"no committed result of the study '{study}'")
    kept = json.loads(file.read_text())
    store = gain("rows").RowStore(RESULTS / f"{study}.jsonl", kept["header"]["configuration"])
    assert len(store.rows()) == kept["header"]["rows"]
    module = gain("narrow" if study in FEW else study)
    assert [asdict(claim) for claim in module.claims(store.rows())] == kept["claims"]
    added = gain("report").contributions(store.rows(), module.ingredients(store.rows()))
    assert added == kept["ingredients"]


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_goes_on_where_its_committed_rows_end(gain, study):
    if study == "wide" and not COREL.is_dir():
        pytest.skip("Corel5k is not here")
    kept = json.loads((RESULTS / f"{study}.json").read_text())
    options = Namespace(study=study, folder=COREL, quick=False)
    module = gain("narrow" if study in FEW else study)
    store = module.open_store(options, RESULTS / f"{study}.jsonl")
    assert store.config == kept["header"]["configuration"]
