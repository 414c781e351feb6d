"""Teachers in one pass: one node, and for the rest of the pipeline the same entries."""

import numpy as np
import pytest

from mlic.labels import LabelMatrix
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.pipelines.baseline_training.nodes import train_baseline
from mlic.pipelines.distillation.nodes import join_logits
from mlic.pipelines.teacher_training import create_pipeline
from mlic.pipelines.teacher_training.nodes import assign_groups, train_teachers
from mlic.tracking import trainings as training_run
from mlic.training import frozen, joint
from mlic.training.options import TeacherOptions
from mlic.utils.seeds import derive_seed

NAMES = ["cgp_0", "cgp_1", "dgp_0", "dgp_1"]
MODES = ["joint", "frozen"]


def cut(space, **cuts):
    options = PartitionOptions(num_parts=2)
    made = [assign_groups(Partition(space, name, parts), options) for name, parts in cuts.items()]
    everyone = [group for strategy in made for group in strategy]
    return {f"group_{name}": group for name, group in zip(NAMES, everyone, strict=True)}


@pytest.fixture
def groups(labels):
    return cut(labels.space, cgp=((0, 3), (1, 2)), dgp=((2, 3), (0, 1)))


@pytest.fixture
def baseline(images, labels, settings, tmp_path):
    return train_baseline(images, labels, store=tmp_path, **settings)


@pytest.fixture
def teach(groups, baseline, images, labels, settings, tmp_path):
    def teach(mode, **changes):
        given = {"images": images, "labels": labels, **groups, **settings, "store": tmp_path}
        given["teachers"] = TeacherOptions(mode=mode, branch={"width": 4})
        given |= {"baseline": baseline} if mode == "frozen" else {}
        return train_teachers(**{**given, **changes})

    return teach


def prints(made):
    return {name: made[f"{name}.checkpoint"].fingerprint for name in NAMES}


@pytest.mark.parametrize("mode", MODES)
def test_what_comes_out_is_what_separate_teachers_give(teach, labels, groups, tmp_path, mode):
    made = teach(mode)
    assert list(made) == [f"{name}.{kind}" for name in NAMES for kind in ("checkpoint", "logits")]
    for name in NAMES:
        checkpoint, logits = made[f"{name}.checkpoint"], made[f"{name}.logits"]
        group = groups[f"group_{name}"]
        assert checkpoint.info.name == logits.teacher == f"teachers.{name}"
        assert list(checkpoint.space.names) == list(logits.space.names)
        assert set(logits.space.names) == set(group["labels"])
        assert logits.fingerprint == checkpoint.fingerprint
        assert logits.partition == group["partition"]
        seed = derive_seed(0, f"teachers.{name}" if mode == "frozen" else "teachers")
        assert checkpoint.info.components["seed"] == [seed, 0]
        assert logits.values.shape == (2, 24, 2) and logits.values.dtype == np.float16
    targets = join_logits(labels, tmp_path, *(made[f"{name}.logits"] for name in NAMES))
    assert targets.strategies == ["cgp", "dgp"] and set(targets.partitions) == {"cgp", "dgp"}
    assert not list(tmp_path.rglob("features*"))


@pytest.mark.parametrize("mode", MODES)
def test_each_training_keeps_its_own_in_a_folder_of_its_name(teach, tmp_path, mode):
    """There the runners look for what a training made."""
    before = set(tmp_path.iterdir())
    teach(mode)
    made = {folder.name for folder in set(tmp_path.iterdir()) - before}
    assert made == {f"teachers.{name}" for name in NAMES}


@pytest.mark.parametrize("mode", MODES)
def test_a_second_time_nothing_is_computed(teach, monkeypatch, mode):
    first = teach(mode)
    monkeypatch.setattr(joint, "train_jointly", None)
    monkeypatch.setattr(joint, "predict_views", None)
    monkeypatch.setattr(frozen, "train_branches", None)
    monkeypatch.setattr("mlic.training.trunk.FrozenTrunk._write", None)
    again = teach(mode)
    assert prints(again) == prints(first)
    for name in NAMES:
        assert np.array_equal(first[f"{name}.logits"].values, again[f"{name}.logits"].values)


@pytest.mark.parametrize(
    ("mode", "module", "function", "trained"),
    [
        ("frozen", frozen, "train_branches", ["teachers.dgp_0"]),
        ("joint", joint, "train_jointly", [f"teachers.{name}" for name in NAMES]),
    ],
)
def test_who_is_trained_again_if_one_is_lost(
    teach, monkeypatch, tmp_path, caplog, mode, module, function, trained
):
    """Branches on a frozen trunk do not depend on each other; those of one training do."""
    first = teach(mode)
    (tmp_path / "teachers.dgp_0" / mode / "checkpoint.safetensors").unlink()
    asked, train = [], getattr(module, function)
    monkeypatch.setattr(
        module,
        function,
        lambda jobs, *rest: asked.extend(job.name for job in jobs) or train(jobs, *rest),
    )
    with caplog.at_level("INFO"):
        assert prints(teach(mode)) == prints(first)
    assert asked == trained
    why = f"All {len(NAMES)} of one pass are trained again: teachers.dgp_0 must be"
    assert (why in caplog.text) == (mode == "joint")


def test_another_baseline_is_another_trunk(teach, images, labels, settings, tmp_path):
    first = prints(teach("frozen"))
    other = train_baseline(images, labels, store=tmp_path, **{**settings, "seed": 1})
    again = prints(teach("frozen", baseline=other))
    assert all(first[name] != again[name] for name in NAMES)


def test_joint_teachers_are_made_of_all_groups(teach, labels, tmp_path):
    first = teach("joint")
    other = cut(labels.space, cgp=((0, 3), (1, 2)), dgp=((0, 3), (1, 2)))
    again = teach("joint", **other)
    assert all(prints(first)[name] != prints(again)[name] for name in NAMES)
    states = labels.states.copy()
    states[0, 0] = -1  # of cgp_0 and dgp_1 alone
    unsure = LabelMatrix(labels.space, labels.ids, states, labels.split)
    made = teach("joint", labels=unsure)
    components = [one["cgp_1.checkpoint"].info.components for one in (first, made)]
    assert components[0]["labels"] == components[1]["labels"]
    assert components[0]["provenance"]["together"] != components[1]["provenance"]["together"]


@pytest.mark.parametrize("mode", MODES)
def test_every_teacher_has_its_run_and_one_failure_fails_all(teach, monkeypatch, mode):
    opened, closed, reported = [], [], []

    class Run:
        def __init__(self, name, components, tags):
            self.name = name
            opened.append((name, tags["strategy"], tags["part"]))

        def __enter__(self):
            return self

        def __exit__(self, kind, *_):
            closed.append((self.name, kind))

        def report(self, epoch, figures):
            if "best_validation_mAP" not in figures:  # which closes a training
                reported.append((self.name, epoch))
            if broken and epoch == 2:
                raise ValueError("full disk")

        def attach(self, path, folder):
            assert self.name in str(path)

    monkeypatch.setattr(training_run, "tracked_training", Run)
    broken = True
    with pytest.raises(ValueError, match="full disk"):
        teach(mode)
    assert {kind for _, kind in closed} == {ValueError} and len(closed) == 4
    broken = False
    opened.clear(), reported.clear()
    teach(mode)
    assert opened == [(f"teachers.{name}", *name.split("_")) for name in NAMES]
    assert reported == [(f"teachers.{name}", epoch) for epoch in (1, 2) for name in NAMES]


@pytest.mark.parametrize("mode", MODES)
def test_the_modes_differ_in_wiring_alone(mode):
    shape = (("cgp", "full_label"), 2, 2)
    apart, together = create_pipeline(*shape), create_pipeline(*shape, mode=mode)
    assert apart.outputs() == together.outputs()
    trained = {node.namespace: node for node in together.nodes if "training" in node.tags}
    node = trained.pop("teachers")
    assert node.name == "teachers.train"
    assert {"store", "teachers.cgp_1.group"} <= set(node.inputs)
    assert set(trained) == {
        "teachers.full_label_0",
        "teachers.full_label_1",
    }  # another network each
    extra = {"baseline.checkpoint"} if mode == "frozen" else set()
    assert together.inputs() - apart.inputs() == extra
    assert not apart.inputs() - together.inputs()


def test_heads_over_embeddings_are_given_them():
    pipeline = create_pipeline(("cgp",), 2, embedded=True, mode="joint")
    assert "label_embeddings" in pipeline.inputs()
