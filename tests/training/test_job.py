from dataclasses import replace

import numpy as np
import pytest
import torch

from mlic.distillation.targets import SoftTargets
from mlic.errors import DataError, LabelError, TrainingError
from mlic.images.store import ImageStore
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.labels.embeddings import LabelEmbeddings
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.distillation_options import DistillationOptions
from mlic.training.predict import predict_checkpoint
from mlic.training.train import make_task, train

SOFT = DistillationOptions()
TINY = {
    "backbone": "resnet10t",
    "backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8},
}


@pytest.fixture
def make_targets(make_job, labels):
    def make(**changes):
        job = make_job()
        ids = changes.pop("ids", job.train_ids)
        own = {
            "space": labels.space,
            "ids": ids,
            "values": {"cgp": np.zeros((2, len(ids), 4), np.float32)},
            "views": job.views,
            "teachers": {"teachers.cgp_0": "f"},
        }
        return SoftTargets(**{**own, **changes})

    return make


def test_fitting_targets_are_accepted(make_job, make_targets):
    job = make_job(targets=make_targets(), distillation=SOFT)
    assert job.components()["targets"] == job.targets.fingerprint


def test_targets_of_other_images_are_refused(make_job, make_targets, labels):
    for ids in (labels.ids[::-1][:24], make_job().train_ids[:5]):
        with pytest.raises(DataError):
            make_job(targets=make_targets(ids=ids), distillation=SOFT)


@pytest.mark.parametrize(
    "change", [{"view_seed": 9}, {"augmentation": {"views": 3}}, {"augmentation": {"flip": False}}]
)
def test_targets_of_other_views_are_refused(make_job, make_targets, change):
    with pytest.raises(DataError):
        make_job(targets=make_targets(), distillation=SOFT, **change)


def test_targets_of_other_labels_are_refused(make_job, make_targets, labels):
    turned = make_targets(space=labels.space.subset([1, 0, 2, 3]))
    with pytest.raises(LabelError, match=r"'red'.*'green'"):
        make_job(targets=turned, distillation=SOFT)


def test_targets_and_distillation_options_belong_together(make_job, make_targets):
    for half in ({"targets": make_targets()}, {"distillation": SOFT}):
        with pytest.raises(TrainingError):
            make_job(**half)


def test_images_in_another_order_are_refused(make_job, images):
    turned = ImageStore.from_arrays(images.ids[::-1], images.pixels[::-1])
    with pytest.raises(DataError):
        make_job(images=turned)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"seed": 4}, "seed"),
        ({"view_seed": 4}, "seed"),
        ({"image_size": 16}, "image_size"),
        ({"epochs": 2}, "training"),
        ({"augmentation": {"views": 3}}, "training"),
        ({"model": ModelOptions(backbone="test_resnet")}, "model"),
        ({"provenance": {"partition": "p"}}, "provenance"),
    ],
)
def test_everything_that_decides_the_weights_is_a_component(make_job, change, key):
    before, after = make_job().components(), make_job(**change).components()
    assert {name for name in before if before[name] != after[name]} == {key}


def test_a_weights_file_counts_by_its_content(make_job, tmp_path):
    path = tmp_path / "w.safetensors"
    job = make_job(model=ModelOptions(backbone="test_resnet", weights=str(path)))
    path.write_bytes(b"one")
    before = job.components()
    path.write_bytes(b"two")
    assert before["weights"] != job.components()["weights"]
    assert make_job().components()["weights"] is None


def test_labels_and_images_are_components(make_job, labels, images):
    before = make_job().components()
    other = ImageStore.from_arrays(images.ids, images.pixels + np.uint8(1))
    after = make_job(labels=labels.with_labels([0, 1, 2]), images=other).components()
    assert {key for key in before if before[key] != after[key]} == {"labels", "data"}


GIVEN = LabelEmbeddings(
    LabelSpace(("extra", "bright", "red", "blue", "green")), np.eye(5, 3), "glove"
)
ENCODER = ModelOptions(
    backbone="test_resnet",
    head="transformer_encoder",
    head_options={"width": 8, "layers": 1, "heads": 1, "feedforward": 8},
    embeddings={"source": "glove", "file": "gone.txt", "dimension": 3},
)


def with_embeddings(job, embeddings=GIVEN, model=ENCODER):
    return replace(job, context=LabelContext(job.labels.space, embeddings=embeddings), model=model)


def test_the_vectors_of_its_labels_are_a_component(make_job):
    before = with_embeddings(make_job()).components()
    for row, changed in [(0, set()), (2, {"embeddings"})]:
        vectors = GIVEN.vectors.copy()
        vectors[row] += 1
        after = with_embeddings(make_job(), replace(GIVEN, vectors=vectors)).components()
        assert {name for name in before if before[name] != after[name]} == changed
    assert make_job().components()["embeddings"] is None


def test_learned_embeddings_are_no_component(make_job):
    job = make_job()
    job = replace(job, context=LabelContext(job.labels.space, embeddings=GIVEN))
    assert job.components() == make_job().components()


@pytest.mark.parametrize("given", [None, replace(GIVEN, source="spectral")])
def test_other_embeddings_than_asked_for_are_refused(make_job, given):
    with pytest.raises(TrainingError) as caught:
        with_embeddings(make_job(), given)
    assert caught.value.fields["expected"] == "glove"


def test_a_checkpoint_needs_no_file_of_vectors(make_job):
    """The given vectors are restored with the weights."""
    job = with_embeddings(make_job())
    model = build_classifier(job.model, job.context).eval()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    space = job.labels.space
    info = CheckpointInfo(
        name="baseline",
        role="baseline",
        labels=space.names,
        label_fingerprint=space.fingerprint,
        model=job.model,
        image_size=32,
        mean=(0.0,),
        std=(1.0,),
        components=job.components(),
        epoch=1,
        averaged=False,
        validation_map=None,
        seconds=0.0,
        history=[],
    )
    back = Checkpoint.from_tensors(*Checkpoint(weights, info).to_tensors()).build()
    assert torch.equal(back.head.embeddings.weight, torch.from_numpy(GIVEN.subset(space).vectors))
    assert not back.head.embeddings.weight.requires_grad
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(back(images), model(images))


@pytest.mark.parametrize("head", ["transformer_encoder", "query_decoder"])
def test_attention_heads_train_reproducibly(make_job, head):
    small = {"width": 16, "heads": 2, "feedforward": 16}
    job = replace(make_job(), model=ModelOptions(**TINY, head=head, head_options=small))
    (first,), (second,) = (train(make_task(job)) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert predict_checkpoint(first, job.images, [0, 1], job.options).shape == (2, 4)


def test_training_leaves_given_embeddings_as_they_are(make_job):
    job = with_embeddings(make_job(), model=ENCODER.model_copy(update=TINY))
    (checkpoint,) = train(make_task(job))
    expected = GIVEN.subset(job.labels.space).vectors
    assert np.array_equal(checkpoint.weights["head.embeddings.weight"], expected)
