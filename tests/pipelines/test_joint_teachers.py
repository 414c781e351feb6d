"""Joint teachers: one node, and for the rest of the pipeline the same entries."""

import numpy as np
import pytest

from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.pipelines import training_run
from mlic.pipelines.baseline_training.nodes import train_baseline
from mlic.pipelines.distillation.nodes import join_logits
from mlic.pipelines.teacher_training import create_pipeline
from mlic.pipelines.teacher_training.nodes import assign_groups, train_teachers_jointly
from mlic.seeds import derive_seed
from mlic.training import joint
from mlic.training.options import TeacherOptions

TEACHERS = TeacherOptions(mode="joint", branch={"width": 4})
NAMES = ["cgp_0", "cgp_1", "dgp_0", "dgp_1"]


@pytest.fixture
def groups(labels):
    options = PartitionOptions(num_parts=2)
    cuts = {"cgp": ((0, 3), (1, 2)), "dgp": ((2, 3), (0, 1))}
    made = [
        assign_groups(Partition(labels.space, name, cut), options) for name, cut in cuts.items()
    ]
    everyone = [group for strategy in made for group in strategy]
    return {f"group_{name}": group for name, group in zip(NAMES, everyone, strict=True)}


@pytest.fixture
def teach(groups, pictures, labels, settings, tmp_path):
    baseline = train_baseline(pictures, labels, store=tmp_path / "baseline", **settings)

    def teach(**changes):
        given = {"baseline": baseline, "pictures": pictures, "labels": labels, **groups, **settings}
        own = {"teachers": TEACHERS, "store": tmp_path / "joint"}
        return train_teachers_jointly(**{**given, **own, **changes})

    return teach


def test_what_comes_out_is_what_separate_teachers_give(teach, labels, groups, tmp_path):
    made = teach()
    assert list(made) == [f"{name}.{kind}" for name in NAMES for kind in ("checkpoint", "logits")]
    for name in NAMES:
        checkpoint, logits = made[f"{name}.checkpoint"], made[f"{name}.logits"]
        group = groups[f"group_{name}"]
        assert checkpoint.info.name == logits.teacher == f"teachers.{name}"
        assert list(checkpoint.space.names) == list(logits.space.names)
        assert set(logits.space.names) == set(group["labels"])
        assert logits.fingerprint == checkpoint.fingerprint
        assert logits.partition == group["partition"]
        assert checkpoint.info.components["seed"] == [derive_seed(0, f"teachers.{name}"), 0]
        assert logits.values.shape == (2, 24, 2) and logits.values.dtype == np.float16
    targets = join_logits(labels, tmp_path, *(made[f"{name}.logits"] for name in NAMES))
    assert targets.strategies == ["cgp", "dgp"] and set(targets.partitions) == {"cgp", "dgp"}
    assert not list(tmp_path.rglob("features*"))


def test_a_second_time_nothing_is_computed(teach, monkeypatch):
    first = teach()
    monkeypatch.setattr(joint, "train_branches", None)
    monkeypatch.setattr("mlic.training.trunk.FrozenTrunk._write", None)
    again = teach()
    for name in NAMES:
        prints = [made[f"{name}.checkpoint"].fingerprint for made in (first, again)]
        assert prints[0] == prints[1]
        assert np.array_equal(first[f"{name}.logits"].values, again[f"{name}.logits"].values)


def test_a_lost_teacher_alone_is_trained_again_the_same(teach, monkeypatch, tmp_path):
    first = teach()
    lost = tmp_path / "joint" / "teachers.dgp_0" / "checkpoint.safetensors"
    lost.unlink()
    asked, train = [], joint.train_branches
    monkeypatch.setattr(
        joint,
        "train_branches",
        lambda jobs, *rest: asked.extend(job.name for job in jobs) or train(jobs, *rest),
    )
    again = teach()
    assert asked == ["teachers.dgp_0"]
    prints = [made["dgp_0.checkpoint"].fingerprint for made in (first, again)]
    assert prints[0] == prints[1]


def test_another_baseline_is_another_trunk(teach, pictures, labels, settings, tmp_path):
    first = teach()
    other = train_baseline(pictures, labels, store=tmp_path / "b", **{**settings, "seed": 1})
    again = teach(baseline=other)
    assert all(
        first[f"{name}.checkpoint"].fingerprint != again[f"{name}.checkpoint"].fingerprint
        for name in NAMES
    )


def test_every_teacher_has_its_run_and_one_failure_fails_all(teach, monkeypatch):
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
            reported.append((self.name, epoch))
            if broken and epoch == 2:
                raise ValueError("full disk")

        def attach(self, path, folder):
            assert self.name in str(path)

    monkeypatch.setattr(training_run, "tracked_training", Run)
    broken = True
    with pytest.raises(ValueError, match="full disk"):
        teach()
    assert {kind for _, kind in closed} == {ValueError} and len(closed) == 4
    broken = False
    opened.clear(), reported.clear()
    teach()
    assert opened == [(f"teachers.{name}", *name.split("_")) for name in NAMES]
    assert reported == [(f"teachers.{name}", epoch) for epoch in (1, 2) for name in NAMES]


def test_the_two_modes_differ_in_wiring_alone():
    shape = (("cgp", "plain"), 2, 2)
    apart, together = create_pipeline(*shape), create_pipeline(*shape, joint=True)
    assert apart.outputs() == together.outputs()
    (node,) = [node for node in together.nodes if "training" in node.tags]
    assert node.name == "teachers.train" and node.namespace == "teachers"
    assert {"baseline.checkpoint", "teachers.joint.store", "group_plain_1"} <= set(node.inputs)
    handles = {name for name in apart.inputs() if name.endswith(".store")}
    extra = {"baseline.checkpoint", "teachers.joint.store"}
    assert together.inputs() - apart.inputs() == extra
    assert apart.inputs() - together.inputs() == handles


def test_heads_over_embeddings_are_given_them():
    pipeline = create_pipeline(("cgp",), 2, embedded=True, joint=True)
    assert "label_embeddings" in pipeline.inputs()
