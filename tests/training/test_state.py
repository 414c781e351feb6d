"""A training that continues from its saved state yields what an unbroken one yields."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.training.features import FrozenFeatures
from mlic.training.fit import fit
from mlic.training.state import TrainingState
from mlic.training.tasks.frozen_branches import FrozenBranchesTask
from mlic.training.tasks.joint_teachers import JointTeachersTask
from mlic.training.train import make_task, train

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


@pytest.fixture(params=["classification", "joint", "frozen"])
def make_task_again(request, make_job, labels, tmp_path):
    """A function that builds the same task again, as a new process would."""
    common = {"epochs": 4, "batch_size": 5, "accumulation": 2}
    if request.param == "classification":
        return lambda: make_task(make_job(model=ModelOptions(**TINY), **common))
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


@pytest.mark.parametrize("last", [1, 3])
def test_continuing_from_a_saved_state_changes_no_bit(make_task_again, tmp_path, last):
    task = make_task_again()
    unbroken = train(task)

    task = make_task_again()
    options = task.jobs[0].options
    state = TrainingState(task, options)
    with pytest.raises(StopError):
        fit(task, task.make_data(), options, state, stop_after(last))
    arrays, metadata = state.to_tensors()
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    save_file(whole, tmp_path / "state.safetensors")

    task = make_task_again()
    state = TrainingState(task, options)
    state.load_tensors(load_file(tmp_path / "state.safetensors"), metadata)
    epochs = []
    fit(task, task.make_data(), options, state, lambda epoch, _: epochs.append(epoch))
    assert epochs == list(range(last + 1, 5))
    for one, other in zip(task.checkpoints(state), unbroken, strict=True):
        assert one.fingerprint == other.fingerprint
        assert (one.info.epoch, one.info.averaged) == (other.info.epoch, other.info.averaged)
        for own, expected in zip(one.info.history, other.info.history, strict=True):
            rate = "images_per_second"  # the one figure that is measured
            assert {**own, rate: 0} == {**expected, rate: 0}


@pytest.mark.parametrize("part", ["order", "learners"])
def test_a_state_without_one_of_its_parts_is_another_training(make_job, part):
    """Every part of the state matters: without it, the continued training differs."""
    job = make_job(model=ModelOptions(**TINY), epochs=3, batch_size=5)
    task = make_task(job)
    (unbroken,) = train(task)
    state = TrainingState(task, job.options)
    with pytest.raises(StopError):
        fit(task, task.make_data(), job.options, state, stop_after(2))
    saved, fresh = state.state_dict(), TrainingState(make_task(job), job.options)
    fresh.load_state_dict({**saved, part: fresh.state_dict()[part]})
    task = fresh.task
    fit(task, task.make_data(), job.options, fresh, ignore)
    assert task.checkpoints(fresh)[0].fingerprint != unbroken.fingerprint
