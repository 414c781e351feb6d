"""Teachers trained in one pass: one node, which makes the same entries as separate ones."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from mlic.config.shape import RunShape
from mlic.labels import LabelMatrix
from mlic.labels.options import PartitionOptions
from mlic.labels.partition import Partition
from mlic.pipelines.baseline_training.nodes import train_baseline
from mlic.pipelines.distillation.nodes import join_logits
from mlic.pipelines.teacher_training import create_pipeline
from mlic.pipelines.teacher_training.nodes import assign_groups, train_teachers
from mlic.tracking import trainings
from mlic.tracking.runs import TrainingRun
from mlic.training.distillation_options import TeacherOptions
from mlic.training.tasks.frozen_branches import FrozenBranchesTask
from mlic.training.tasks.joint_teachers import JointTeachersTask
from mlic.utils.seeds import derive_seed

NAMES = ["cgp_0", "cgp_1", "dgp_0", "dgp_1"]
MODES = ["joint", "frozen"]


def assign(space, **partitions):
    """Groups of the four teachers of two partitions."""
    options = PartitionOptions(num_parts=2)
    groups = [
        group
        for strategy, parts in partitions.items()
        for group in assign_groups(Partition(space, strategy, parts), options)
    ]
    return {f"group_{name}": group for name, group in zip(NAMES, groups, strict=True)}


@pytest.fixture
def groups(labels):
    return assign(labels.space, cgp=((0, 3), (1, 2)), dgp=((2, 3), (0, 1)))


@pytest.fixture
def baseline(images, labels, settings, tmp_path):
    return train_baseline(images=images, labels=labels, store=tmp_path, **settings)


@pytest.fixture
def teach(groups, baseline, images, labels, settings, tmp_path):
    def teach(mode, **changes):
        given = {"images": images, "labels": labels, **groups, **settings, "store": tmp_path}
        given["teachers"] = TeacherOptions(mode=mode, branch={"width": 4})
        given |= {"baseline": baseline} if mode == "frozen" else {}
        return train_teachers(**{**given, **changes})

    return teach


def fingerprints(made):
    return {name: made[f"{name}.checkpoint"].fingerprint for name in NAMES}


@pytest.mark.parametrize("mode", MODES)
def test_outputs_are_those_of_separate_teachers(teach, labels, groups, tmp_path, mode):
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
def test_each_teacher_stores_its_files_in_the_folder_of_its_name(teach, tmp_path, mode):
    """The runners look there for what a training wrote."""
    before = set(tmp_path.iterdir())
    teach(mode)
    made = {folder.name for folder in set(tmp_path.iterdir()) - before}
    assert made == {f"teachers.{name}" for name in NAMES}


@pytest.fixture
def trained(monkeypatch):
    """Names of the teachers whose training starts."""
    names = []
    for task in (JointTeachersTask, FrozenBranchesTask):

        def make_data(self, original=task.make_data):
            names.extend(job.name for job in self.jobs)
            return original(self)

        monkeypatch.setattr(task, "make_data", make_data)
    return names


@pytest.mark.parametrize("mode", MODES)
def test_finished_teachers_are_loaded(teach, trained, mode):
    first = teach(mode)
    assert len(trained) == 4
    again = teach(mode)
    assert len(trained) == 4 and fingerprints(again) == fingerprints(first)
    for name in NAMES:
        assert np.array_equal(first[f"{name}.logits"].values, again[f"{name}.logits"].values)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("frozen", ["teachers.dgp_0"]), ("joint", [f"teachers.{name}" for name in NAMES])],
)
def test_teachers_that_are_trained_again_if_one_is_lost(teach, trained, tmp_path, mode, expected):
    """Branches on a frozen trunk do not depend on each other; jointly trained ones do."""
    first = teach(mode)
    (tmp_path / "teachers.dgp_0" / mode / "checkpoint.safetensors").unlink()
    trained.clear()
    assert fingerprints(teach(mode)) == fingerprints(first)
    assert trained == expected


def test_frozen_teachers_depend_on_the_baseline(teach, images, labels, settings, tmp_path):
    first = fingerprints(teach("frozen"))
    given = {"images": images, "labels": labels, **settings, "seed": 1}
    other = train_baseline(store=tmp_path, **given)
    again = fingerprints(teach("frozen", baseline=other))
    assert all(first[name] != again[name] for name in NAMES)


def test_joint_teachers_depend_on_the_labels_of_all_groups(teach, labels, tmp_path):
    first = teach("joint")
    other = assign(labels.space, cgp=((0, 3), (1, 2)), dgp=((0, 3), (1, 2)))
    again = teach("joint", **other)
    assert all(fingerprints(first)[name] != fingerprints(again)[name] for name in NAMES)
    states = labels.states.copy()
    states[0, 0] = -1  # a label of cgp_0 and dgp_1 only
    partly_unknown = LabelMatrix(labels.space, labels.ids, states, labels.split)
    made = teach("joint", labels=partly_unknown)
    components = [one["cgp_1.checkpoint"].info.components for one in (first, made)]
    assert components[0]["labels"] == components[1]["labels"]
    assert components[0]["provenance"]["together"] != components[1]["provenance"]["together"]


class RecordingRuns:
    """Opens runs that remember what is logged; logging fails from an epoch on, if one is given."""

    def __init__(self, failing_epoch=None):
        self.failing_epoch = failing_epoch
        self.opened, self.closed, self.epochs = [], [], []

    @contextmanager
    def open(self, name, components, tags, run_id):
        self.opened.append((name, tags["strategy"], tags["part"]))
        error = None
        try:
            yield _RecordingRun(self, name)
        except Exception as raised:
            error = raised
            raise
        finally:
            self.closed.append((name, type(error)))


class _RecordingRun(TrainingRun):
    def __init__(self, runs, name):
        self.runs, self.name = runs, name

    def log_epoch(self, epoch, metrics):
        if epoch == self.runs.failing_epoch:
            raise ValueError("full disk")
        if "mAP.best_validation" not in metrics:  # logged once at the end
            self.runs.epochs.append((self.name, epoch))

    def log_file(self, path, folder):
        assert self.name in str(path)


@pytest.mark.parametrize("mode", MODES)
def test_every_teacher_has_its_own_run(teach, monkeypatch, mode):
    runs = RecordingRuns()
    monkeypatch.setattr(trainings, "tracked_training", runs.open)
    teach(mode)
    assert runs.opened == [(f"teachers.{name}", *name.split("_")) for name in NAMES]
    assert runs.epochs == [(f"teachers.{name}", epoch) for epoch in (1, 2) for name in NAMES]


@pytest.mark.parametrize("mode", MODES)
def test_failure_of_one_teacher_fails_the_runs_of_all(teach, monkeypatch, mode):
    runs = RecordingRuns(failing_epoch=2)
    monkeypatch.setattr(trainings, "tracked_training", runs.open)
    with pytest.raises(ValueError, match="full disk"):
        teach(mode)
    assert sorted(runs.closed) == [(f"teachers.{name}", ValueError) for name in NAMES]


@pytest.mark.parametrize("mode", MODES)
def test_modes_differ_only_in_wiring(mode):
    shape = RunShape(strategies=("cgp", "full_label"), num_parts=2, num_full_label=2, mode=mode)
    separate, one_pass = create_pipeline(replace(shape, mode="separate")), create_pipeline(shape)
    assert separate.outputs() == one_pass.outputs()
    training = {node.namespace: node for node in one_pass.nodes if "training" in node.tags}
    node = training.pop("teachers")
    assert node.name == "teachers.train"
    assert {"store", "teachers.cgp_1.group"} <= set(node.inputs)
    # full-label teachers are separate models in every mode
    assert set(training) == {"teachers.full_label_0", "teachers.full_label_1"}
    extra = {"baseline.checkpoint"} if mode == "frozen" else set()
    assert one_pass.inputs() - separate.inputs() == extra
    assert not separate.inputs() - one_pass.inputs()


@pytest.mark.parametrize("mode", ["separate", *MODES])
def test_teachers_whose_head_needs_embeddings_read_them(mode):
    shape = RunShape(strategies=("cgp",), mode=mode, context=frozenset({"embeddings"}))
    assert "label_embeddings" in create_pipeline(shape).inputs()
