"""One training in several processes is the training of one process, to rounding."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from mlflow import MlflowClient
from pydantic import ValidationError
from torch import distributed, nn

from mlic.caching.store import ArtifactStore
from mlic.distillation.joining import join_targets
from mlic.distillation.teacher_logits import write_logits
from mlic.errors import ParameterError, TrainingError
from mlic.models.options import BranchedModelOptions, ModelOptions
from mlic.models.sync_norm import CpuSyncBatchNorm, synchronise_norms
from mlic.tracking.settings import read_settings
from mlic.training import launch as launch_module
from mlic.training.distillation_options import DistillationOptions
from mlic.training.features import FrozenFeatures
from mlic.training.launch import launch, require_devices
from mlic.training.predict import predict_training_views
from mlic.training.ranks import gather_rows, own_part, share_scores, sum_over_ranks
from mlic.training.tasks.frozen_branches import FrozenBranchesTask
from mlic.training.tasks.joint_teachers import JointTeachersTask
from mlic.training.train import make_task, peers_of, train
from mlic.training.unfinished import UnfinishedTraining

NARROW = {
    "backbone": "resnet10t",
    "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8},
}
NO_NORM = ModelOptions(backbone="test_vit", backbone_options={"img_size": 32, "patch_size": 16})
C_TRAN = ModelOptions(**NARROW, head="c_tran", head_options={"width": 16, "dropout": 0.0})
# 24 training images: four batches of five and one of four, divided as 2 + 3 and 2 + 2
# a low rate: norms of a few images would enlarge rounding errors from step to step
COMMON = {"epochs": 2, "batch_size": 5, "optimizer": "sgd", "learning_rate": 0.005}
PARTS = [[2, 0], [3, 1]]
CPU = torch.device("cpu")
needs_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores")


def require_equal(one, other, tolerance=2e-5):
    """Same weights, selection and figures, to rounding."""
    assert len(one) == len(other)
    for own, expected in zip(one, other, strict=True):
        assert (own.info.epoch, own.info.averaged) == (expected.info.epoch, expected.info.averaged)
        for figures, right in zip(own.info.history, expected.info.history, strict=True):
            rate = "images_per_second"  # the one figure that is measured
            assert {**figures, rate: 0} == pytest.approx({**right, rate: 0}, abs=1e-4)
        for name, values in expected.weights.items():
            np.testing.assert_allclose(own.weights[name], values, atol=tolerance, err_msg=name)


def on_devices(task_of, make_job, **changes):
    """Checkpoints of the same task on one device and on two."""
    return [train(task_of(make_job, devices=number, **COMMON, **changes)) for number in (1, 2)]


def plain(make_job, **changes):
    return make_task(make_job(**changes))


@needs_cores
def test_two_processes_train_what_one_trains(make_job):
    reports = []
    job = make_job(devices=2, **COMMON)
    (two,) = train(make_task(job), [lambda epoch, figures: reports.append((epoch, figures))])
    (one,) = train(make_task(make_job(**COMMON)))
    require_equal([two], [one])
    assert two.info.components == one.info.components == job.components()
    assert [epoch for epoch, _ in reports] == [1, 2]
    assert [figures for _, figures in reports] == two.info.history


# Tasks


def peers(make_job, **changes):
    job = make_job(peers=1, **changes)
    return make_task(job, *peers_of(job))


def branches(make_job, labels, **changes):
    model = BranchedModelOptions(**NARROW, branch={"width": 4})
    return [
        make_job(
            name=f"teachers.cgp_{i}",
            role="teacher",
            labels=labels.with_labels(part),
            seed=i,
            model=model,
            **changes,
        )
        for i, part in enumerate(PARTS)
    ]


@pytest.fixture
def unknown_labels(labels):
    """Labels of which a third is unknown, unevenly, so that every batch has another number."""
    states = labels.states.copy()
    states[np.random.default_rng(1).random(states.shape) < 0.35] = -1
    return replace(labels, states=states)


@needs_cores
@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_unknown_labels_and_accumulation(make_job, unknown_labels, reduction, accumulation):
    changes = {"reduction": reduction, "accumulation": accumulation, "labels": unknown_labels}
    rate = 0.005 if reduction == "mean" else 0.0005
    one, two = (
        train(plain(make_job, devices=n, **{**COMMON, **changes, "learning_rate": rate}))
        for n in (1, 2)
    )
    require_equal(two, one)


@needs_cores
@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"sharpness_radius": 0.05},
        {"augmentation": {"views": 2, "cutout": 0.3, "rand_augment": 1}},
        {"model": C_TRAN},  # with the label mask
        {"model": C_TRAN, "label_mask": {"max_known": 0}},  # one embedding gets no gradient
        {"batch_size": 23, "epochs": 3, "patience": 1},
    ],
    ids=["sharpness", "augmentation", "mask", "unused", "patience"],
)
def test_options_of_a_training(make_job, changes):
    one, two = (train(plain(make_job, devices=n, **{**COMMON, **changes})) for n in (1, 2))
    require_equal(two, one)


@needs_cores
@pytest.mark.slow
def test_mutual(make_job):
    one, two = on_devices(peers, make_job)
    require_equal(two, one)


@needs_cores
@pytest.mark.slow
def test_joint(make_job, unknown_labels):
    def joint(make_job, **changes):
        return JointTeachersTask(branches(make_job, unknown_labels, **changes))

    one, two = on_devices(joint, make_job)
    require_equal(two, one)


@needs_cores
@pytest.mark.slow
def test_frozen(make_job, labels, tmp_path):
    (baseline,) = train(plain(make_job, model=ModelOptions(**NARROW)))

    def frozen(make_job, **changes):
        jobs = branches(make_job, labels, **changes)
        return FrozenBranchesTask(jobs, FrozenFeatures(baseline, jobs[0], tmp_path))

    one, two = on_devices(frozen, make_job)
    require_equal(two, one)


@needs_cores
@pytest.mark.slow
def test_distillation(make_job, tmp_path):
    teacher = make_job()
    (trained,) = train(make_task(teacher))
    store = ArtifactStore(tmp_path, "teacher")
    views = predict_training_views(teacher, trained)
    logits = write_logits(teacher, trained, views, store, "float32")
    targets = join_targets(teacher.labels.space, {"baseline": [logits]}, store)

    def student(make_job, **changes):
        return make_task(
            make_job(name="student", targets=targets, distillation=DistillationOptions(), **changes)
        )

    one, two = on_devices(student, make_job)
    require_equal(two, one)


@needs_cores
@pytest.mark.slow
def test_fewer_images_than_ranks_in_a_batch_and_in_validation(make_job, labels, monkeypatch):
    """Three ranks, batches of 11, 11 and 2 images, and two validation images."""
    monkeypatch.setattr(launch_module, "_count_devices", lambda: (3, "devices"))
    split = labels.split.copy()
    split[labels.rows("validation")[2:]] = "test"
    few = replace(labels, split=split)
    changes = {**COMMON, "batch_size": 11, "labels": few, "model": NO_NORM}
    one, three = (train(plain(make_job, devices=n, **changes)) for n in (1, 3))
    require_equal(three, one)


# Going on, and failing


class StopError(Exception):
    pass


def stop_after(last):
    def report(epoch, figures):
        if epoch == last:
            raise StopError

    return report


@needs_cores
@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 2)])
def test_a_stopped_training_continues_on_another_number(make_job, tmp_path, before, after):
    options = {**COMMON, "epochs": 4}
    store, epochs = ArtifactStore(tmp_path, "baseline"), []
    unbroken = train(plain(make_job, **options))
    first, second = (make_job(devices=number, **options) for number in (before, after))
    with pytest.raises(StopError):
        train(make_task(first), [stop_after(2)], UnfinishedTraining(store, [first]))
    assert UnfinishedTraining(store, [second])._found is not None
    report = [lambda epoch, _: epochs.append(epoch)]
    require_equal(train(make_task(second), report, UnfinishedTraining(store, [second])), unbroken)
    assert epochs == [1, 2, 3, 4]
    assert not [p for p in psutil.Process().children() if "rank" in " ".join(p.cmdline())]


@needs_cores
@pytest.mark.slow
def test_dropout_differs_between_ranks_and_is_repeated(make_job):
    model = ModelOptions(**NARROW, head_options={"dropout": 0.5})
    runs = [train(plain(make_job, devices=2, model=model, **COMMON)) for _ in range(2)]
    assert runs[0][0].fingerprint == runs[1][0].fingerprint


def fail_as_asked(send, how):
    send(os.getpid())
    if distributed.get_rank() == 1:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "mlic":
            raise ParameterError("wrong", parameter="p")
        if how == "bug":
            raise ValueError("a bug")
        os._exit(3)
    sum_over_ranks(torch.ones(1))  # never ends without the other


@needs_cores
@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "mlic", "bug", "exit"])
def test_the_end_of_one_process_ends_all_with_one_error(make_job, how):
    pids, times = [], []

    def receive(pid):
        pids.append(pid)
        times.append(time.monotonic())

    error = ParameterError if how == "mlic" else TrainingError
    with pytest.raises(error) as caught:
        launch(fail_as_asked, [how], make_job(devices=2).options, receive)
    assert caught.value.fields == ({"parameter": "p"} if how == "mlic" else {"rank": 1})
    words = {"killed": "SIGKILL", "mlic": "wrong", "bug": "a bug", "exit": "exit code 3"}
    assert words[how] in str(caught.value)
    assert not any(map(psutil.pid_exists, pids))
    assert time.monotonic() - times[0] < 30


TRAIN_FOR_EVER = """
import sys
from pathlib import Path
import numpy as np
from mlic.images.store import ImageStore
from mlic.labels import LabelMatrix, LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.options import ModelOptions
from mlic.tracking.runs import open_parent
from mlic.tracking.settings import read_settings
from mlic.tracking.trainings import train_or_reuse
from mlic.training.job import TrainingJob
from mlic.training.options import TrainingOptions

folder, space = Path(sys.argv[1]), LabelSpace(("a", "b"))
ids = [str(number) for number in range(12)]
states = np.arange(24).reshape(12, 2) % 2
labels = LabelMatrix(space, ids, states, ["train"] * 8 + ["validation"] * 4)
images = ImageStore.from_arrays(ids, np.zeros((12, 32, 32, 3), np.uint8))
small = {"channels": [8, 8, 16, 16], "stem_width": 8}
model = ModelOptions(backbone="resnet10t", backbone_options=small)
options = TrainingOptions(epochs=10**6, batch_size=4, learning_rate=0.01, devices=2, threads=1)
open_parent(read_settings({}, folder), "all", {}, {})
context = LabelContext(space)
job = TrainingJob("baseline", "baseline", labels, images, 32, model, options, context, 0, 0)
train_or_reuse(job, folder / "store")
"""


@needs_cores
@pytest.mark.slow
@pytest.mark.parametrize(
    ("sign", "code"), [("SIGINT", -signal.SIGINT), ("SIGTERM", 143), ("SIGKILL", -signal.SIGKILL)]
)
def test_a_signal_ends_all_processes(tmp_path, sign, code):
    program = subprocess.Popen(
        [sys.executable, "-c", TRAIN_FOR_EVER, str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    state = tmp_path / "store" / "baseline" / "unfinished.safetensors"
    while not state.is_file():
        assert program.poll() is None, program.stderr.read()
        time.sleep(0.2)
    started = psutil.Process(program.pid).children(recursive=True)
    assert len(started) >= 2
    program.send_signal(getattr(signal, sign))
    program.communicate(timeout=60)
    assert program.returncode == code
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive
    client = MlflowClient(read_settings({}, tmp_path).tracking_uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(experiments, "attributes.run_name = 'baseline'")
    assert run.info.status == ("RUNNING" if sign == "SIGKILL" else "KILLED")
    steps = [one.step for one in client.get_metric_history(run.info.run_id, "loss.train")]
    assert steps == list(range(1, len(steps) + 1))


def test_what_cannot_be_sent_is_one_error(make_job):
    with pytest.raises(TrainingError) as caught:
        launch(fail_as_asked, [lambda: None], make_job(devices=2).options, print)
    assert caught.value.fields == {"parameter": "training.devices"}


def test_more_devices_than_there_are(make_job, monkeypatch):
    monkeypatch.setattr(launch_module, "_count_devices", lambda: (2, "GPUs"))
    require_devices(make_job(devices=2).options)
    with pytest.raises(ParameterError) as caught:
        train(make_task(make_job(devices=3)))
    assert caught.value.fields == {"parameter": "training.devices", "value": 3, "found": 2}


def test_one_device_starts_no_process(make_job, monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr("mlic.training.train.launch", refuse)
    assert train(make_task(make_job()))


def test_the_number_of_devices_is_no_part_of_the_fingerprint(make_job):
    assert make_job(devices=2).components() == make_job().components()
    with pytest.raises(ValidationError):
        make_job(devices=9)  # more than the 8 images of a batch


# Parts


def test_a_sum_over_a_batch_that_cannot_be_divided_is_refused(make_job, monkeypatch):
    monkeypatch.setattr(launch_module, "_count_devices", lambda: (3, "devices"))
    with pytest.raises(TrainingError) as caught:  # 24 images
        train(make_task(make_job(devices=3, batch_size=11, reduction="sum")))
    assert caught.value.fields["rest"] == 2


@pytest.mark.parametrize(("rows", "ranks"), [(10, 3), (2, 4), (0, 2), (7, 7)])
def test_parts_are_a_division(rows, ranks, monkeypatch):
    monkeypatch.setattr("mlic.training.ranks.num_ranks", lambda: ranks)
    parts = [np.arange(rows)[own_part(rows, of)] for of in range(ranks)]
    assert np.concatenate(parts).tolist() == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.fixture
def group():
    """A group of torch.distributed with one process, in this process."""
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_one_process_is_left_alone():
    values = torch.tensor([1.0, 2.0])
    assert sum_over_ranks(values) is values
    assert share_scores([0.25, math.nan])[0] == 0.25
    rows = np.ones((3, 2), np.float32)
    assert gather_rows(rows, 3) is rows


@pytest.mark.parametrize("momentum", [0.1, None, 0.0])
@pytest.mark.parametrize("shape", [(6, 4, 5, 5), (6, 4)])
def test_norms_and_their_gradients_are_those_of_torch(group, momentum, shape):
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    plain = nn.Sequential(kind(4, momentum=momentum))
    nn.init.normal_(plain[0].weight)
    synced = nn.Sequential(kind(4, momentum=momentum))
    synced.load_state_dict(plain.state_dict())
    weight = synced[0].weight
    synchronise_norms(synced, CPU)
    assert isinstance(synced[0], CpuSyncBatchNorm) and synced[0].weight is weight
    for _ in range(2):
        inputs = [(torch.randn(shape) * 3 + 1).requires_grad_()]
        inputs.append(inputs[0].detach().clone().requires_grad_())
        outputs = [model(one) for model, one in zip((plain, synced), inputs, strict=True)]
        torch.testing.assert_close(outputs[1], outputs[0])
        for output in outputs:
            (output**3).sum().backward()
        torch.testing.assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(weight.grad, plain[0].weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(synced.state_dict(), plain.state_dict())
    plain.eval(), synced.eval()
    torch.testing.assert_close(synced(inputs[0]), plain(inputs[0]))


def test_norms_with_an_activation_keep_it(group):
    from timm.layers import BatchNormAct2d

    plain = nn.Sequential(BatchNormAct2d(4))
    synced = nn.Sequential(BatchNormAct2d(4))
    synchronise_norms(synced, CPU)
    features = torch.randn(3, 4, 2, 2)
    torch.testing.assert_close(synced(features), plain(features))
    assert set(synced.state_dict()) == set(plain.state_dict())
