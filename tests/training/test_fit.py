"""The training loop: what is learned, in which order, and which weights are kept."""

import logging
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from mlic.caching.store import ArtifactStore
from mlic.distillation.joining import assemble_targets
from mlic.distillation.targets import SoftTargets
from mlic.distillation.teacher_logits import write_logits
from mlic.errors import TrainingError
from mlic.images.augmentation import ViewSampler
from mlic.images.preprocess import preprocess_views
from mlic.labels import LabelMatrix
from mlic.models.options import ModelOptions
from mlic.training import data as data_module
from mlic.training.device import make_fabric
from mlic.training.distillation_options import DistillationOptions
from mlic.training.fit import fit
from mlic.training.optimiser import count_batches, count_steps
from mlic.training.predict import predict_training_views
from mlic.training.state import TrainingState
from mlic.training.tasks.classification import ClassificationTask
from mlic.training.train import make_task
from mlic.training.train import train as train_task

NO_NORM = ModelOptions(backbone="test_vit", backbone_options={"img_size": 32, "patch_size": 16})


def train(job, report=None):
    (checkpoint,) = train_task(make_task(job), [report] if report else [])
    return checkpoint


def distance(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def epoch_weights(training):
    """Raw and averaged weights before and after one epoch, without evaluation."""
    before = training.weights()
    options, number = training.task.jobs[0].options, training.data.num_batches
    for count, batch in enumerate(training.batches(1), 1):
        loss, _ = training.loss(batch)
        mean = options.reduction == "mean"
        training.state.fabric.backward(loss / (options.accumulation if mean else 1))
        if count % options.accumulation == 0 or count == number:
            training.learner.step()
    return before, training.weights()


def test_compiled_training_yields_the_same_weights(make_job, monkeypatch):
    """Traced, but not translated to machine code, which takes too long for a test."""
    traced = []

    def trace(graph, inputs):
        traced.append(len(graph.graph.nodes))
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=trace))
    eager, compiled = (train(make_job(compile=choice)) for choice in (False, True))
    assert distance(eager.weights, compiled.weights) == 0
    assert max(traced) > 50 and len(traced) > 1  # the model and the loss


def write(job, teacher, folder):
    """Logits in single precision, in a file."""
    store = ArtifactStore(folder / job.name, job.name)
    return write_logits(job, teacher, predict_training_views(job, teacher), store, "float32")


# One training


def test_training_lowers_the_loss_and_describes_itself(make_job):
    reports = []
    job = make_job(epochs=3)
    checkpoint = train(job, lambda epoch, figures: reports.append((epoch, figures)))
    info = checkpoint.info
    assert [epoch for epoch, _ in reports] == [1, 2, 3]
    assert [figures for _, figures in reports] == info.history
    assert info.history[-1]["loss"] < info.history[0]["loss"]
    assert {"loss", "loss_hard", "learning_rate", "images_per_second"} <= set(info.history[0])
    assert info.labels == job.labels.space.names and info.components == job.components()
    assert (info.image_size, info.seconds > 0, 1 <= info.epoch <= 3) == (32, True, True)
    assert all(v.dtype == np.float32 for v in checkpoint.weights.values() if v.dtype.kind == "f")


def test_one_seed_is_bit_equal_and_another_is_not(make_job):
    first, second, other = (train(make_job(seed=seed)) for seed in (3, 3, 4))
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert distance(first.weights, second.weights) == 0


def test_the_test_split_is_never_read(make_job, labels):
    """Nothing changes when every test label is turned round."""
    states = labels.states.copy()
    states[labels.rows("test")] = 1 - states[labels.rows("test")]
    turned = LabelMatrix(labels.space, labels.ids, states, labels.split)
    assert train(make_job()).fingerprint == train(make_job(labels=turned)).fingerprint


def test_unknown_labels_are_not_learned(make_job, labels, manual):
    unknown = labels.states.copy()
    unknown[:, 1] = -1
    matrix = LabelMatrix(labels.space, labels.ids, unknown, labels.split)
    job = make_job(labels=matrix, model=NO_NORM, optimizer="sgd", weight_decay=0)
    (before, _), (after, _) = epoch_weights(manual(job))
    change = np.abs(after["head.linear.weight"] - before["head.linear.weight"]).max(axis=1)
    assert change[1] == 0 and (change[[0, 2, 3]] > 0).all()


# Average, schedule, accumulation


def test_average_starts_from_the_model(make_job, manual):
    job = make_job(ema_decay=0.999, ema_warmup=False)
    training = manual(job)
    (raw, average), (learned, averaged) = epoch_weights(training)
    assert distance(raw, average) == 0
    moved = distance(learned, raw)
    assert 0 < distance(averaged, average) < 0.001 * training.learner.steps_done * moved * 1.5


def test_average_follows_quickly_during_its_warmup(make_job, manual):
    slow = epoch_weights(manual(make_job(ema_decay=0.999, ema_warmup=False)))
    quick = epoch_weights(manual(make_job(ema_decay=0.999, ema_warmup=True)))
    gap = [distance(run[1][0], run[1][1]) for run in (slow, quick)]
    assert gap[1] < 0.7 * gap[0]


@pytest.mark.parametrize("kind", ["parameter", "buffer"])
def test_average_follows_the_recursion(make_job, manual, kind):
    training = manual(make_job(ema_decay=0.9, ema_warmup=False))
    model, average = training.learner.model, training.learner.average.module
    named = model.named_parameters() if kind == "parameter" else model.named_buffers()
    name = next(name for name, _ in named if name.endswith(("linear.weight", "running_mean")))
    expected = model.state_dict()[name].clone()
    for batch in training.batches(1):
        training.learn(batch)
        expected = 0.9 * expected + 0.1 * model.state_dict()[name]
    torch.testing.assert_close(average.state_dict()[name], expected)


@pytest.mark.parametrize(
    ("epochs", "batch_size", "warmup"),
    [(1, 24, 0.1), (2, 24, 0.1), (10, 24, 0.1), (3, 8, 0.3), (2, 23, 0.5), (5, 5, 0.9)],
)
def test_one_cycle_reaches_its_peak_and_its_length(make_job, manual, epochs, batch_size, warmup):
    job = make_job(epochs=epochs, batch_size=batch_size, warmup=warmup, learning_rate=0.5)
    training = manual(job)
    steps = sum(1 for epoch in range(epochs) for _ in training.batches(epoch + 1))
    assert steps == epochs * count_steps(job.num_batches, accumulation=1)
    rates = []
    for _ in range(steps):
        rates.append(training.learner.schedule.get_last_lr()[0])
        training.learner.step()
    if steps > 1:
        assert max(rates) == pytest.approx(0.5)
        assert np.argmax(rates) == pytest.approx(max(warmup * steps, 1), abs=1.01)
    assert rates[0] == pytest.approx(0.5 / 25)
    if steps > 2:
        assert rates[-1] < 1e-5


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adam", "lion", "adagrad", "rmsprop"])
def test_every_optimiser_accepts_the_schedule(make_job, optimizer):
    job = make_job(optimizer=optimizer, batch_size=24, learning_rate=1e-4)
    assert math.isfinite(train(job).info.history[0]["loss"])


def test_an_unknown_optimiser_is_refused(make_job):
    with pytest.raises(TrainingError) as caught:
        train(make_job(optimizer="adamx"))
    assert caught.value.fields == {"parameter": "training.optimizer", "value": "adamx"}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_two_accumulated_batches_equal_one(make_job, reduction):
    common = {"model": NO_NORM, "reduction": reduction, "optimizer": "sgd", "learning_rate": 1e-2}
    one = train(make_job(batch_size=8, **common))
    two = train(make_job(batch_size=4, accumulation=2, **common))
    other = train(make_job(batch_size=4, **common))
    assert distance(one.weights, two.weights) < 2e-6 < distance(one.weights, other.weights)


@pytest.mark.parametrize(("reduction", "shares"), [("mean", [3, 3, 3, 2, 2]), ("sum", [1] * 5)])
def test_incomplete_last_accumulation_keeps_its_scale(make_job, manual, reduction, shares):
    """24 images: five batches, accumulated as 3 + 2. Weights follow gradients that are known."""
    job = make_job(
        batch_size=5, accumulation=3, reduction=reduction, model=NO_NORM, optimizer="sgd"
    )
    expected = manual(job)
    for number, batch in enumerate(expected.batches(1)):
        loss, _ = expected.loss(batch)
        expected.state.fabric.backward(loss / shares[number])
        if number in (2, 4):
            expected.learner.step()
    assert expected.learner.steps_done == count_steps(job.num_batches, 3) == 2
    checkpoint = train(job)
    raw, averaged = expected.weights()
    weights = averaged if checkpoint.info.averaged else raw
    assert distance(weights, {name: checkpoint.weights[name] for name in weights}) == 0


@pytest.mark.parametrize(
    ("images", "batch_size", "batches"),
    [(24, 8, 3), (25, 8, 3), (26, 8, 4), (1, 8, 1), (1, 1, 1), (3, 1, 3), (7, 8, 1)],
)
def test_no_batch_of_a_single_image_remains(images, batch_size, batches):
    assert count_batches(images, batch_size) == batches


def test_batches_are_a_shuffle_of_the_training_images(make_job, manual):
    training = manual(make_job(batch_size=7))
    first, second = ([b.rows.tolist() for b in training.batches(1)] for _ in range(2))
    assert sorted(np.concatenate(first)) == training.task.jobs[0].train_rows.tolist()
    assert first != second and [len(batch) for batch in first] == [7, 7, 7, 3]


def test_batches_of_one_image_are_possible(make_job):
    figures = train(make_job(batch_size=1, model=NO_NORM)).info.history[0]
    assert math.isfinite(figures["loss"])


# Selection


SCORES = [
    ([(0.1, 0.2), (0.5, 0.4), (0.3, 0.3)], 2, "raw"),
    ([(0.1, 0.2), (0.4, 0.6), (0.5, 0.1)], 2, "ema"),
    ([(0.9, 0.2), (0.4, 0.6), (0.5, 0.1)], 1, "raw"),
    ([(0.1, 0.2), (0.2, 0.1), (0.5, 0.7)], 3, "ema"),
    ([(0.5, 0.5), (0.5, 0.5), (0.1, 0.1)], 1, "ema"),
    ([(math.nan, math.nan)] * 3, 3, "ema"),
]


@pytest.mark.parametrize(("scores", "epoch", "kind"), SCORES)
def test_better_weights_of_the_best_epoch_are_kept(make_job, scores, epoch, kind):
    given = iter([score for pair in scores for score in pair])

    class Task(ClassificationTask):
        """Returns the given scores."""

        def scores(self, index, logits, states):
            return [next(given)]

    task, seen = Task(make_job(epochs=len(scores))), []
    options = task.jobs[0].options
    state = TrainingState(task, options)

    def copy(epoch, figures):
        learner = state.learners[0]
        models = {"raw": learner.model, "ema": learner.average.module}
        seen.append(
            {n: m.state_dict()["head.linear.bias"].numpy().copy() for n, m in models.items()}
        )

    fit(task, task.make_data(), options, state, copy)
    (checkpoint,) = task.checkpoints(state)
    assert (checkpoint.info.epoch, checkpoint.info.averaged) == (epoch, kind == "ema")
    assert np.array_equal(checkpoint.weights["head.linear.bias"], seen[epoch - 1][kind])
    best = max(max(pair) for pair in scores)
    assert checkpoint.info.validation_map == (None if math.isnan(best) else best)


def test_patience_stops_only_after_the_learning_rate_has_fallen(make_job, monkeypatch):
    """The first epoch scores best, so that patience alone would stop after the third."""
    scores = iter(range(1000, 0, -1))
    monkeypatch.setattr("mlic.training.fit.evaluate", lambda *_: [next(scores) / 1000])
    history = train(make_job(epochs=20, patience=2)).info.history
    rates = [own["learning_rate"] for own in history]
    peak = make_job().options.learning_rate
    assert 3 < len(history) < 20
    assert rates[-1] <= 0.1 * peak < rates[-2]


def test_patience_waits_for_the_last_better_epoch(make_job, monkeypatch):
    scores = iter(range(1000))
    monkeypatch.setattr("mlic.training.fit.evaluate", lambda *_: [next(scores) / 1000])
    assert len(train(make_job(epochs=12, patience=1)).info.history) == 12


@pytest.mark.parametrize("how", ["no positives", "no images"])
def test_without_a_validation_score_the_last_average_is_kept(make_job, labels, how):
    states, split = labels.states.copy(), labels.split.copy()
    if how == "no positives":
        states[labels.rows("validation")] = 0
    else:
        split[labels.rows("validation")] = "test"
    matrix = LabelMatrix(labels.space, labels.ids, states, split)
    checkpoint = train(make_job(labels=matrix, epochs=2))
    info = checkpoint.info
    assert (info.epoch, info.averaged, info.validation_map) == (2, True, None)
    assert type(checkpoint).from_tensors(*checkpoint.to_tensors()).info == info


# What can go wrong


def test_no_training_image_is_an_error(make_job, labels):
    empty = LabelMatrix(labels.space, labels.ids, labels.states, np.full(len(labels), "test"))
    with pytest.raises(TrainingError) as caught:
        train(make_job(labels=empty))
    assert caught.value.fields == {"name": "baseline"}


def test_a_loss_that_is_not_finite_stops_the_training(make_job):
    with pytest.raises(TrainingError) as caught:
        train(make_job(epochs=3, learning_rate=1e20, optimizer="sgd"))
    assert caught.value.fields["parameter"] == "training.learning_rate"


def test_validation_logits_that_are_not_finite_stop_the_training(make_job):
    class Task(ClassificationTask):
        def build(self, index):
            model = super().build(index)
            model.register_forward_hook(lambda m, _, z: z if m.training else z * math.nan)
            return model

    with pytest.raises(TrainingError) as caught:
        train_task(Task(make_job()))
    assert caught.value.fields["parameter"] == "training.learning_rate"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError("Unable to allocate 9 GiB"),
    ],
)
def test_out_of_memory_errors_name_parameters(make_job, error):
    with pytest.raises(TrainingError) as caught:
        train_task(failing(make_job(), error))
    assert caught.value.fields["parameter"] == "training.batch_size"


def test_other_errors_are_not_changed(make_job):
    with pytest.raises(RuntimeError, match="a bug"):
        train_task(failing(make_job(), RuntimeError("a bug")))


def failing(job, error):
    """A task whose loss raises an error."""

    class Task(ClassificationTask):
        def loss(self, index, model, batch):
            raise error

    return Task(job)


def test_log_reports_the_outcome(make_job, caplog):
    caplog.set_level(logging.INFO, logger="mlic")
    train(make_job())
    assert "baseline: trained in" in caplog.text and "validation mAP" in caplog.text


# The student learns from logits that its teachers predicted for exactly its pixels


@pytest.fixture
def taught(make_job, labels, tmp_path):
    """Two teachers, and the targets joined from their logits."""
    parts = [[2, 0], [3, 1]]
    jobs = [
        make_job(name=f"teachers.cgp_{i}", role="teacher", labels=labels.with_labels(part), seed=i)
        for i, part in enumerate(parts)
    ]
    teachers = [train(job) for job in jobs]
    written = [write(*pair, tmp_path) for pair in zip(jobs, teachers, strict=True)]
    targets = assemble_targets(labels.space, {"cgp": written[::-1]})
    return parts, teachers, targets


@pytest.mark.parametrize("seed", [3, 11])
def test_targets_are_the_teachers_logits_for_the_same_pixels(make_job, manual, taught, seed):
    parts, teachers, targets = taught
    models = [teacher.build() for teacher in teachers]
    student = make_job(
        name="student", role="student", seed=seed, targets=targets,
        distillation=DistillationOptions(distiller={"name": "logit_mse"}), epochs=3,
    )  # fmt: skip
    training = manual(student)
    for epoch in (1, 2, 3):
        for batch in training.batches(epoch):
            live = torch.empty(len(batch), 4)
            with torch.inference_mode():
                for part, model in zip(parts, models, strict=True):
                    live[:, part] = model(batch.images)
            torch.testing.assert_close(batch.soft_targets["cgp"], live, atol=1e-5, rtol=0)
            assert np.array_equal(batch.states.numpy(), student.labels.states[batch.rows])
    spread = targets.values["cgp"].std(axis=1).mean()
    assert spread > 1e-3  # logits of another image or view would differ


def test_stored_targets_teach_like_live_teachers_to_the_bit(make_job, taught, tmp_path):
    """Teachers called at every step, or replayed from a file written from the same batches."""
    parts, teachers, targets = taught
    models = [teacher.build() for teacher in teachers]
    soft = {"distillation": DistillationOptions(), "name": "student", "role": "student"}
    job = make_job(targets=targets, epochs=2, **soft)
    file = np.full((2, len(job.train_rows), 4), np.nan, np.float32)
    data = []

    class Live(SoftTargets):
        def read(self, view, rows):
            pixels = data[0]._preprocess(
                data[0]._read(rows, view), job.train_rows[rows], 1, view, make_fabric(job.options)
            )
            values = np.empty((len(rows), 4), np.float32)
            with torch.inference_mode():
                for part, model in zip(parts, models, strict=True):
                    values[:, part] = model(pixels)
            file[view][rows] = values  # epoch e sees view e − 1: nothing is written twice
            return {"cgp": values}

    fields = ("space", "ids", "values", "views", "teachers")
    live = Live(**{name: getattr(targets, name) for name in fields})
    task = make_task(replace(job, targets=live))
    state = TrainingState(task, job.options)
    data.append(task.make_data())
    fit(task, data[0], job.options, state, lambda epoch, figures: None)
    (first,) = task.checkpoints(state)
    assert np.isfinite(file).all()
    replace(targets, values={"cgp": file}, folder=None).save(tmp_path / "targets")
    second = train(replace(job, targets=SoftTargets.open(tmp_path / "targets")))
    assert first.fingerprint == second.fingerprint
    losses = [[epoch["loss_cgp"] for epoch in one.info.history] for one in (first, second)]
    assert losses[0] == losses[1]


def test_images_are_the_view_of_the_epoch(make_job, manual):
    job = make_job(epochs=4)
    training = manual(job)
    sampler = ViewSampler(job.images.ids.tolist(), job.options.augmentation, job.view_seed)
    for epoch in (1, 2, 3):
        batch = next(training.batches(epoch))
        boxes = torch.from_numpy(sampler.boxes(batch.rows, (epoch - 1) % 2))
        pixels = torch.from_numpy(job.images.pixels[batch.rows])
        expected = preprocess_views(pixels, boxes, *training.task.spec)
        torch.testing.assert_close(batch.images, expected)


def test_other_targets_yield_another_student(make_job, taught):
    _, _, targets = taught
    turned = SoftTargets(
        targets.space, targets.ids, {"cgp": -targets.values["cgp"]}, targets.views, {"t": "other"}
    )
    soft = DistillationOptions()
    one, two = (
        train(make_job(name="student", targets=t, distillation=soft)) for t in (targets, turned)
    )
    assert one.fingerprint != two.fingerprint
    assert {"loss_cgp", "loss_hard"} <= set(one.info.history[0])


# The published recipe


PUBLISHED_VIEWS = {
    "views": 2, "min_crop": 1, "max_aspect": 1, "flip": False, "cutout": 0.5, "rand_augment": 2
}  # fmt: skip


def test_images_grow_in_equal_shares_of_the_epochs(make_job, manual):
    job = make_job(epochs=5, sizes=(16, 24, 32), image_size=32)
    training, plain = manual(job), manual(make_job())
    shapes = [next(training.batches(epoch)).images.shape[2:] for epoch in range(1, 6)]
    assert shapes == [(16, 16), (16, 16), (24, 24), (24, 24), (32, 32)]
    for batch in training.batches(5):
        other = next(b for b in plain.batches(1) if set(b.rows) & set(batch.rows))
        both = sorted(set(other.rows) & set(batch.rows))
        places = [[rows.tolist().index(row) for row in both] for rows in (batch.rows, other.rows)]
        assert torch.equal(batch.images[places[0]], other.images[places[1]])  # the same crops
    validation = next(training.data.validation_batches(training.state.fabric))
    assert validation.shape[2:] == (32, 32)


def test_pixels_without_normalisation_reach_model_and_checkpoint(make_job, manual):
    job = make_job(normalise=False, augmentation=PUBLISHED_VIEWS)
    training = manual(job)
    batch = next(training.batches(2))
    augmented = training.data.views.augment(job.images.pixels[batch.rows], batch.rows, 1)
    expected = torch.from_numpy(augmented).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(batch.images, expected, atol=1e-6, rtol=0)
    assert not np.array_equal(augmented, job.images.pixels[batch.rows])
    info = train(job).info
    assert (info.mean, info.std) == ((0, 0, 0), (1, 1, 1))


def test_student_sees_the_augmented_pixels_of_its_teacher(make_job, manual, labels, tmp_path):
    """Threads, batch size and order differ; the pixels do not."""
    common = {"augmentation": PUBLISHED_VIEWS, "normalise": False, "model": NO_NORM}
    job = make_job(name="teachers.cgp_0", role="teacher", **common)
    teacher = train(job)
    targets = assemble_targets(labels.space, {"cgp": [write(job, teacher, tmp_path)]})
    student = make_job(
        name="student", role="student", targets=targets, distillation=DistillationOptions(),
        batch_size=5, threads=2, epochs=2, **common,
    )  # fmt: skip
    training, model = manual(student), teacher.build()
    for epoch in (1, 2):
        for batch in training.batches(epoch):
            with torch.inference_mode():
                logits = model(batch.images)
            torch.testing.assert_close(logits, batch.soft_targets["cgp"], atol=1e-5, rtol=0)


def test_adam_uses_l2_decay_except_on_vectors(make_job, manual):
    training = manual(make_job(optimizer="adam", weight_decay=1e-4)).learner
    optimiser = training.optimiser
    assert optimiser.defaults.get("decoupled_weight_decay") is not True
    assert type(optimiser.optimizer) is torch.optim.Adam
    decays = {
        id(weight): group["weight_decay"]
        for group in optimiser.param_groups
        for weight in group["params"]
    }
    for name, weight in training.model.named_parameters():
        assert decays[id(weight)] == (1e-4 if weight.ndim > 1 else 0), name


def test_schedule_is_torchs_up_to_one_step(make_job, manual):
    """Torch's defaults except for ``pct_start``; ours peaks on a step, at most one later."""
    job = make_job(epochs=80, batch_size=1, warmup=0.1, learning_rate=1e-4, model=NO_NORM)
    training = manual(job).learner
    ours, steps = training.schedule, 80 * job.num_batches
    probe = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        probe, max_lr=1e-4, total_steps=steps, pct_start=0.1
    )
    rates, published = [], []
    for _ in range(steps):
        rates.append((ours.get_last_lr()[0], training.optimiser.param_groups[0]["betas"][0]))
        published.append((theirs.get_last_lr()[0], probe.param_groups[0]["betas"][0]))
        training.optimiser.step(), probe.step()
        ours.step(), theirs.step()
    apart = np.abs(np.subtract(rates, published))
    assert apart[:, 0].max() < 1e-4 * 2 / (0.1 * steps) and apart[:, 1].max() < 0.1 / (0.05 * steps)


def test_prefetching_changes_no_weight(make_job, monkeypatch):
    job = make_job(augmentation=PUBLISHED_VIEWS)
    without = train(job)
    prefetch = data_module.prefetch
    monkeypatch.setattr(
        data_module, "prefetch", lambda items, make, _: prefetch(items, make, ahead=True)
    )
    assert train(job).fingerprint == without.fingerprint
