"""The loop: what is learnt, in which order, and which weights are kept."""

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
from mlic.errors import TrainingError
from mlic.images.augmentation import ViewSampler
from mlic.images.preprocess import preprocess_views
from mlic.labels import LabelMatrix
from mlic.models.options import ModelOptions
from mlic.training import fit as loop
from mlic.training import predict, prefetch
from mlic.training.fit import _Training, train
from mlic.training.optimiser import count_batches
from mlic.training.options import DistillationOptions
from mlic.training.predict import predict_training_views, write_logits

NO_NORM = ModelOptions(backbone="test_vit", backbone_options={"img_size": 32, "patch_size": 16})


def distance(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def epoch_weights(job):
    """Raw and averaged weights before and after one epoch, without the judging."""
    training = _Training(job)

    def copies():
        models = training.model, training.average.module
        return [{n: p.detach().clone().numpy() for n, p in m.named_parameters()} for m in models]

    before = copies()
    training._learn(1, SimpleBar())
    return before, copies(), training


def test_a_compiled_training_is_the_same(make_job, monkeypatch):
    """Traced, but not made into machine code: for that a test has no time."""
    traced = []

    def trace(graph, inputs):
        traced.append(len(graph.graph.nodes))
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=trace))
    plain, compiled = (train(make_job(compile=choice)) for choice in (False, True))
    assert distance(plain.weights, compiled.weights) == 0
    assert max(traced) > 50 and len(traced) > 1  # the model and the loss


def write(job, teacher, folder):
    """Logits in single precision, in a file."""
    store = ArtifactStore(folder / job.name, job.name)
    return write_logits(job, teacher, predict_training_views(job, teacher), store, "float32")


class SimpleBar:
    def update(self, number):
        pass


# One training


def test_a_training_learns_and_describes_itself(make_job):
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


def test_unknown_labels_are_not_learnt(make_job, labels):
    unknown = labels.states.copy()
    unknown[:, 1] = -1
    matrix = LabelMatrix(labels.space, labels.ids, unknown, labels.split)
    job = make_job(labels=matrix, model=NO_NORM, optimizer="sgd", weight_decay=0)
    (before, _), (after, _), _ = epoch_weights(job)
    change = np.abs(after["head.linear.weight"] - before["head.linear.weight"]).max(axis=1)
    assert change[1] == 0 and (change[[0, 2, 3]] > 0).all()


# Average, schedule, accumulation


def test_the_average_starts_from_the_model(make_job):
    job = make_job(ema_decay=0.999, ema_warmup=False)
    (raw, average), (learnt, averaged), training = epoch_weights(job)
    assert distance(raw, average) == 0
    moved = distance(learnt, raw)
    assert 0 < distance(averaged, average) < 0.001 * training.steps * moved * 1.5


def test_the_average_follows_quickly_while_it_warms_up(make_job):
    slow = epoch_weights(make_job(ema_decay=0.999, ema_warmup=False))
    quick = epoch_weights(make_job(ema_decay=0.999, ema_warmup=True))
    gap = [distance(run[1][0], run[1][1]) for run in (slow, quick)]
    assert gap[1] < 0.7 * gap[0]


def test_the_average_is_the_recursion(make_job):
    training = _Training(make_job(ema_decay=0.9, ema_warmup=False, model=NO_NORM))
    name = "head.linear.weight"
    expected = training.model.state_dict()[name].clone()
    for batch in training._batches():
        loss, _ = training._losses(batch, training._read(batch, 1), 1)
        training.fabric.backward(loss)
        training._step()
        expected = 0.9 * expected + 0.1 * training.model.state_dict()[name]
    torch.testing.assert_close(training.average.module.state_dict()[name], expected)


@pytest.mark.parametrize(
    ("epochs", "batch_size", "warmup"),
    [(1, 24, 0.1), (2, 24, 0.1), (10, 24, 0.1), (3, 8, 0.3), (2, 23, 0.5), (5, 5, 0.9)],
)
def test_one_cycle_reaches_its_peak_and_its_length(make_job, epochs, batch_size, warmup):
    job = make_job(epochs=epochs, batch_size=batch_size, warmup=warmup, learning_rate=0.5)
    training = _Training(job)
    batches = [list(training._batches()) for _ in range(epochs)]
    steps = sum(map(len, batches))
    assert steps == epochs * training.steps
    rates = []
    for _ in range(steps):
        rates.append(training.schedule.get_last_lr()[0])
        training._step()
    if steps > 1:
        assert max(rates) == pytest.approx(0.5)
        assert np.argmax(rates) == pytest.approx(max(warmup * steps, 1), abs=1.01)
    assert rates[0] == pytest.approx(0.5 / 25)
    if steps > 2:
        assert rates[-1] < 1e-5


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adam", "lion", "adagrad", "rmsprop"])
def test_any_optimiser_takes_the_schedule(make_job, optimizer):
    job = make_job(optimizer=optimizer, batch_size=24, learning_rate=1e-4)
    assert math.isfinite(train(job).info.history[0]["loss"])


def test_an_unknown_optimiser_is_refused(make_job):
    with pytest.raises(TrainingError, match=r"optimizer='adamx' is unknown"):
        train(make_job(optimizer="adamx"))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_two_halves_are_one_batch(make_job, reduction):
    common = {"model": NO_NORM, "reduction": reduction, "optimizer": "sgd", "learning_rate": 1e-2}
    whole = epoch_weights(make_job(batch_size=8, **common))
    halves = epoch_weights(make_job(batch_size=4, accumulation=2, **common))
    assert whole[2].steps == halves[2].steps == 3
    assert distance(whole[1][0], halves[1][0]) < 2e-6 < distance(whole[0][0], whole[1][0])
    assert distance(whole[1][1], halves[1][1]) < 2e-6


def test_a_last_group_that_is_not_full_keeps_its_scale(make_job):
    training = _Training(make_job(batch_size=5, accumulation=3))  # 24 images: 5 batches, 3 + 2
    assert [training._scale(number) for number in range(1, 6)] == [3, 3, 3, 2, 2]
    assert training.steps == 2
    summed = _Training(make_job(batch_size=5, accumulation=3, reduction="sum"))
    assert summed._scale(1) == 1


@pytest.mark.parametrize(
    ("images", "batch_size", "batches"),
    [(24, 8, 3), (25, 8, 3), (26, 8, 4), (1, 8, 1), (1, 1, 1), (3, 1, 3), (7, 8, 1)],
)
def test_no_batch_of_a_single_image_is_left_over(images, batch_size, batches):
    assert count_batches(images, batch_size) == batches


def test_batches_are_a_shuffle(make_job):
    training = _Training(make_job(batch_size=7))
    first, second = ([b.tolist() for b in training._batches()] for _ in range(2))
    assert sorted(np.concatenate(first)) == list(range(24)) and first != second
    assert [len(batch) for batch in first] == [7, 7, 7, 3]


def test_batches_of_one_image_can_be_asked_for(make_job):
    figures = train(make_job(batch_size=1, model=NO_NORM)).info.history[0]
    assert math.isfinite(figures["loss"])


# Selection


def select(make_job, monkeypatch, scores):
    """Train three epochs whose judgements (raw, averaged) are given beforehand."""
    told = iter([score for pair in scores for score in pair])
    monkeypatch.setattr(loop, "mean_average_precision", lambda *_: next(told))
    kept = []
    keep = _Training._keep_best

    def spy(training, epoch, judged):
        keep(training, epoch, judged)
        models = {"raw": training.model, "ema": training.average.module}
        kept.append({n: m.state_dict()["head.linear.bias"].numpy() for n, m in models.items()})
        kept[-1] = {name: bias.copy() for name, bias in kept[-1].items()}

    monkeypatch.setattr(_Training, "_keep_best", spy)
    checkpoint = train(make_job(epochs=len(scores)))
    return checkpoint, kept


@pytest.mark.parametrize(
    ("scores", "epoch", "which"),
    [
        ([(0.1, 0.2), (0.5, 0.4), (0.3, 0.3)], 2, "raw"),
        ([(0.1, 0.2), (0.4, 0.6), (0.5, 0.1)], 2, "ema"),
        ([(0.9, 0.2), (0.4, 0.6), (0.5, 0.1)], 1, "raw"),
        ([(0.1, 0.2), (0.2, 0.1), (0.5, 0.7)], 3, "ema"),
        ([(0.5, 0.5), (0.5, 0.5), (0.1, 0.1)], 1, "ema"),
        ([(math.nan, math.nan)] * 3, 3, "ema"),
    ],
)
def test_the_better_weights_of_the_best_epoch_are_kept(make_job, monkeypatch, scores, epoch, which):
    checkpoint, kept = select(make_job, monkeypatch, scores)
    assert (checkpoint.info.epoch, checkpoint.info.averaged) == (epoch, which == "ema")
    assert np.array_equal(checkpoint.weights["head.linear.bias"], kept[epoch - 1][which])
    best = max(max(pair) for pair in scores)
    assert checkpoint.info.validation_map == (None if math.isnan(best) else best)


@pytest.mark.parametrize("how", ["no positives", "no images"])
def test_nothing_to_judge_by_gives_the_last_average_and_a_sound_file(make_job, labels, how):
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
    with pytest.raises(TrainingError, match="baseline: no image is in the training split"):
        train(make_job(labels=empty))


def test_a_loss_that_is_no_number_stops_the_training(make_job):
    with pytest.raises(TrainingError, match=r"baseline: .*lower training\.learning_rate"):
        train(make_job(epochs=3, learning_rate=1e20, optimizer="sgd"))


def test_logits_that_are_no_numbers_stop_the_training(make_job, monkeypatch):
    nan = np.full((8, 4), np.nan, dtype=np.float32)
    monkeypatch.setattr(loop, "predict_logits", lambda *_: nan)
    with pytest.raises(TrainingError, match="logits on validation are not all finite"):
        train(make_job())


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError("Unable to allocate 9 GiB"),
    ],
)
def test_a_lack_of_memory_becomes_advice(make_job, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(_Training, "_losses", fail)
    with pytest.raises(TrainingError, match=r"batch_size=4,training\.accumulation=2"):
        train(make_job())


def test_any_other_error_passes(make_job, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(_Training, "_losses", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        train(make_job())


def test_the_log_says_what_came_out(make_job, caplog):
    caplog.set_level(logging.INFO, logger="mlic")
    train(make_job())
    assert "baseline: trained in" in caplog.text and "validation mAP" in caplog.text


# The heart: the student reads what its teachers said of these very pixels


@pytest.fixture
def taught(make_job, labels, tmp_path):
    """Two teachers, what they wrote, and the job of their student."""
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
def test_targets_are_the_teachers_logits_of_the_very_batch(make_job, taught, seed):
    parts, teachers, targets = taught
    models = [teacher.build() for teacher in teachers]
    student = make_job(
        name="student", role="student", seed=seed, targets=targets,
        distillation=DistillationOptions(distiller={"name": "logit_mse"}), epochs=3,
    )  # fmt: skip
    training, seen = _Training(student), []

    class Spy:
        """Stands for the student's model: keeps the batch it is shown."""

        def __call__(self, images):
            seen.append(images)
            return torch.zeros(len(images), 4)

    handed = []
    training.module, objective = Spy(), training.objective
    training.objective = lambda z, states, soft: (
        handed.append((states, soft)) or objective(z, states, soft)
    )
    for epoch in (1, 2, 3):
        for batch in training._batches():
            training._losses(batch, training._read(batch, epoch), epoch)
            live = torch.empty(len(batch), 4)
            with torch.inference_mode():
                for part, model in zip(parts, models, strict=True):
                    live[:, part] = model(seen[-1])
            states, soft = handed[-1]
            torch.testing.assert_close(soft["cgp"], live, atol=1e-5, rtol=0)
            rows = student.train_rows[batch]
            assert np.array_equal(states.numpy(), student.labels.states[rows])
    spread = targets.values["cgp"].std(axis=1).mean()
    assert spread > 1e-3  # another row or view would have been seen


def test_stored_targets_teach_as_live_teachers_to_the_bit(make_job, taught, monkeypatch, tmp_path):
    """Teachers called at every step, or replayed from a file written of the same batches."""
    parts, teachers, targets = taught
    models = [teacher.build() for teacher in teachers]
    soft = {"distillation": DistillationOptions(), "name": "student", "role": "student"}
    job = make_job(targets=targets, epochs=2, **soft)
    file = np.full((2, len(job.train_rows), 4), np.nan, np.float32)
    there = _Training(job)

    def live(_, view, batch):
        pixels = there._read(batch, view + 1)
        values = np.empty((len(batch), 4), np.float32)
        with torch.inference_mode():
            for part, model in zip(parts, models, strict=True):
                values[:, part] = model(there._see(batch, pixels, view + 1))
        file[view][batch] = values  # epoch e sees view e − 1: no cell is written twice
        return {"cgp": values}

    with monkeypatch.context() as patch:
        patch.setattr(SoftTargets, "read", live)
        first = train(job)
    assert np.isfinite(file).all()
    replace(targets, values={"cgp": file}, folder=None).save(tmp_path)
    stored = SoftTargets.open(tmp_path)
    second = train(replace(job, targets=stored))
    assert first.fingerprint == second.fingerprint
    losses = [[epoch["loss_cgp"] for epoch in one.info.history] for one in (first, second)]
    assert losses[0] == losses[1]


def test_the_model_is_shown_the_view_of_the_epoch(make_job):
    job = make_job(epochs=4)
    training, seen = _Training(job), []
    training.module = lambda images: seen.append(images) or torch.zeros(len(images), 4)
    maker = ViewSampler(job.images.ids.tolist(), job.options.augmentation, job.view_seed)
    for epoch in (1, 2, 3):
        batch = next(training._batches())
        training._losses(batch, training._read(batch, epoch), epoch)
        rows = job.train_rows[batch]
        boxes = torch.from_numpy(maker.boxes(rows, (epoch - 1) % 2))
        pixels = torch.from_numpy(job.images.pixels[rows])
        torch.testing.assert_close(seen[-1], preprocess_views(pixels, boxes, *training.frame))


def test_a_student_of_other_targets_is_another_student(make_job, taught):
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


def test_unnormalised_pixels_reach_the_model_and_the_file(make_job):
    job = make_job(normalise=False, augmentation=PUBLISHED_VIEWS)
    training, seen = _Training(job), []
    training.module = lambda images: seen.append(images) or torch.zeros(len(images), 4)
    batch = next(training._batches())
    training._losses(batch, training._read(batch, 2), 2)
    rows = job.train_rows[batch]
    stored = training.views.perturb(job.images.pixels[rows], rows, 1)
    expected = torch.from_numpy(stored).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(seen[-1], expected, atol=1e-6, rtol=0)
    assert not np.array_equal(stored, job.images.pixels[rows])
    info = train(job).info
    assert (info.mean, info.std) == ((0, 0, 0), (1, 1, 1))


def test_teachers_saw_the_perturbed_pixels_that_the_student_sees(make_job, labels, tmp_path):
    """Threads, batch sizes and the order of images are others; the pixels are not."""
    common = {"augmentation": PUBLISHED_VIEWS, "normalise": False, "model": NO_NORM}
    job = make_job(name="teachers.cgp_0", role="teacher", **common)
    teacher = train(job)
    targets = assemble_targets(labels.space, {"cgp": [write(job, teacher, tmp_path)]})
    student = make_job(
        name="student", role="student", targets=targets, distillation=DistillationOptions(),
        batch_size=5, threads=2, epochs=2, **common,
    )  # fmt: skip
    training, model = _Training(student), teacher.build()
    training.module = model
    handed = []
    training.objective = lambda z, states, soft: handed.append((z, soft["cgp"])) or (z.sum(), {})
    for epoch in (1, 2):
        for batch in training._batches():
            training._losses(batch, training._read(batch, epoch), epoch)
            torch.testing.assert_close(*handed[-1], atol=1e-5, rtol=0)


def test_adams_decay_is_l2_and_spares_vectors(make_job):
    """One step from zero moments goes along the sign of gradient + decay · weight."""
    training = _Training(make_job(optimizer="adam", weight_decay=1e-4))
    optimiser = training.optimiser
    assert optimiser.defaults.get("decoupled_weight_decay") is not True
    assert type(training.optimiser.optimizer) is torch.optim.Adam
    decays = {
        id(weight): group["weight_decay"]
        for group in optimiser.param_groups
        for weight in group["params"]
    }
    for name, weight in training.model.named_parameters():
        assert decays[id(weight)] == (1e-4 if weight.ndim > 1 else 0), name


def test_the_schedule_is_torchs_to_a_step(make_job):
    """Its defaults but for ``pct_start``; ours peaks on a step, one later at most."""
    job = make_job(epochs=80, batch_size=1, warmup=0.1, learning_rate=1e-4, model=NO_NORM)
    training = _Training(job)
    ours, steps = training.schedule, 80 * training.steps
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


def test_the_average_holds_buffers_too(make_job):
    training = _Training(make_job(ema_decay=0.9, ema_warmup=False))
    name = next(n for n, _ in training.model.named_buffers() if n.endswith("running_mean"))
    expected = training.model.state_dict()[name].clone()
    for batch in training._batches():
        loss, _ = training._losses(batch, training._read(batch, 1), 1)
        training.fabric.backward(loss)
        training._step()
        expected = 0.9 * expected + 0.1 * training.model.state_dict()[name]
    torch.testing.assert_close(training.average.module.state_dict()[name], expected)


def test_reading_ahead_changes_no_weight(make_job, monkeypatch):
    job = make_job(augmentation=PUBLISHED_VIEWS)
    plain = train(job)
    ahead = prefetch.prefetch
    for module in (loop, predict):
        monkeypatch.setattr(module, "prefetch", lambda items, make, _: ahead(items, make, True))
    assert train(job).fingerprint == plain.fingerprint
