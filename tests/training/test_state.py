"""A training that continues from its saved state yields what an unbroken one yields."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mlic.distillation.targets import SoftTargets
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.training.distillation_options import DistillationOptions
from mlic.training.features import FrozenFeatures
from mlic.training.fit import fit
from mlic.training.state import TrainingState
from mlic.training.tasks.frozen_branches import FrozenBranchesTask
from mlic.training.tasks.joint_teachers import JointTeachersTask
from mlic.training.train import make_task, peers_of, train

TINY = {
    "backbone": "resnet10t",
    "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8},
    "head_options": {"dropout": 0.5},  # consumes random numbers
}
PARTS = [[2, 0], [3, 1]]


class StopError(Exception):
    pass


def ignore(epoch, figures):
    pass


def stop_after(last):
    def report(epoch, figures):
        if epoch == last:
            raise StopError

    return report


def make_targets(job):
    """Random logits of every view of the training images."""
    shape = (job.options.augmentation.views, len(job.train_ids), len(job.labels.space))
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=shape).astype(np.float32) for name in ("cgp", "dgp")}
    return SoftTargets(job.labels.space, job.train_ids, values, job.views, {"t": "f"})


C_TRAN = {**TINY, "head": "c_tran"}
C_TRAN["head_options"] = {"width": 8, "layers": 1, "heads": 2, "dropout": 0.5}
TASKS = ["classification", "joint", "frozen", "distillation", "label mask", "mutual"]


@pytest.fixture(params=TASKS)
def make_task_again(request, make_job, labels, tmp_path):
    """A function that builds the same task again, as a new process would."""
    # an odd number of batches, so that the last step of an epoch has one batch instead of two
    common = {"epochs": 4, "batch_size": 5, "accumulation": 2}
    job = make_job(model=ModelOptions(**TINY), **common)
    if request.param == "classification":
        return lambda: make_task(job)
    if request.param == "distillation":
        soft = {"targets": make_targets(job), "distillation": DistillationOptions()}
        return lambda: make_task(replace(job, **soft))
    if request.param == "label mask":
        return lambda: make_task(make_job(model=ModelOptions(**C_TRAN), **common))
    if request.param == "mutual":
        mutual = make_job(model=ModelOptions(**TINY), **common, peers=1)
        return lambda: make_task(mutual, *peers_of(mutual))
    model = BranchedModelOptions(**TINY, branch={"width": 4})
    jobs = [
        make_job(
            name=f"teachers.cgp_{i}",
            role="teacher",
            labels=labels.with_labels(part),
            seed=i,
            model=model,
            **common,
        )
        for i, part in enumerate(PARTS)
    ]
    if request.param == "joint":
        return lambda: JointTeachersTask(jobs)
    (baseline,) = train(make_task(make_job(model=ModelOptions(**TINY))))
    return lambda: FrozenBranchesTask(jobs, FrozenFeatures(baseline, jobs[0], tmp_path))


def stop(task, options, epoch=0, saves=0):
    """State of a training that stops after an epoch, or when it is saved within an epoch."""
    state, seen = TrainingState(task, options), []

    def save():
        seen.append(state.progress.batches)
        if len(seen) == saves:
            raise StopError

    with pytest.raises(StopError):
        fit(task, task.make_data(), options, state, stop_after(epoch), save)
    return state


def reload(state, path):
    """State as it comes back from a file."""
    arrays, metadata = state.to_tensors()
    save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, path)
    return load_file(path), metadata


def require_equal(task, state, unbroken):
    for one, other in zip(task.checkpoints(state), unbroken, strict=True):
        assert one.fingerprint == other.fingerprint
        assert (one.info.epoch, one.info.averaged) == (other.info.epoch, other.info.averaged)
        for own, expected in zip(one.info.history, other.info.history, strict=True):
            rate = "images_per_second"  # the one figure that is measured
            assert {**own, rate: 0} == {**expected, rate: 0}


@pytest.mark.parametrize("last", [1, 3])
def test_continuing_from_a_saved_state_changes_no_bit(make_task_again, tmp_path, last):
    unbroken = train(make_task_again())
    task = make_task_again()
    options = task.jobs[0].options
    saved = reload(stop(task, options, epoch=last), tmp_path / "state")

    task = make_task_again()
    state = TrainingState(task, options)
    state.load_tensors(*saved)
    epochs = []
    fit(task, task.make_data(), options, state, lambda epoch, _: epochs.append(epoch))
    assert epochs == list(range(last + 1, 5))
    require_equal(task, state, unbroken)


@pytest.mark.parametrize(("every", "saves"), [(1, 1), (2, 3)])
def test_continuing_within_an_epoch_changes_no_bit(make_task_again, tmp_path, every, saves):
    unbroken = train(make_task_again())
    task = make_task_again()
    options = task.jobs[0].options.model_copy(update={"save_every_steps": every})
    stopped = stop(task, options, saves=saves)
    assert 0 < stopped.progress.batches < task.jobs[0].num_batches
    steps = [learner.steps_done for learner in stopped.learners]
    assert not any(number % every for number in steps)

    saved, task = reload(stopped, tmp_path / "state"), make_task_again()
    state = TrainingState(task, options)
    state.load_tensors(*saved)
    assert [learner.steps_done for learner in state.learners] == steps
    fit(task, task.make_data(), options, state, ignore)
    require_equal(task, state, unbroken)


def test_a_state_is_saved_as_often_as_asked_but_not_just_before_the_end_of_an_epoch(make_job):
    job = make_job(model=ModelOptions(**TINY), epochs=2, batch_size=5, save_every_steps=2)
    assert job.num_batches == 5
    task = make_task(job)
    state, saved = TrainingState(task, job.options), []
    fit(task, task.make_data(), job.options, state, ignore, lambda: saved.append(state.epoch))
    assert saved == [0, 0, 1, 1]  # not after the tenth step, which is the last of its epoch
    assert job.components() == make_job(model=job.model, epochs=2, batch_size=5).components()


@pytest.mark.parametrize("part", ["order", "learners"])
def test_a_state_without_one_of_its_parts_is_another_training(make_job, part):
    """Every part of the state matters: without it, the continued training differs."""
    job = make_job(model=ModelOptions(**TINY), epochs=3, batch_size=5, save_every_steps=3)
    task = make_task(job)
    (unbroken,) = train(task)
    saved = stop(task, job.options, saves=3).state_dict()
    fresh = TrainingState(make_task(job), job.options)
    fresh.load_state_dict({**saved, part: fresh.state_dict()[part]})
    task = fresh.task
    fit(task, task.make_data(), job.options, fresh, ignore)
    assert task.checkpoints(fresh)[0].fingerprint != unbroken.fingerprint
