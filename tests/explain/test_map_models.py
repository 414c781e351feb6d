import numpy as np
import pytest
import torch

from mlic.explain.activation import class_activation
from mlic.explain.class_maps import choose_images
from mlic.explain.map_models import map_models
from mlic.images.preprocess import preprocess_whole
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.models.classifier import build_classifier
from mlic.models.options import ModelOptions
from mlic.training.checkpoint import Checkpoint, CheckpointInfo
from mlic.training.options import TrainingOptions

TINY = {"channels": [8, 8, 16, 16], "stem_width": 8}
OPTIONS = TrainingOptions(epochs=1, batch_size=4, learning_rate=0.1, threads=1, precision="32")


def checkpoint_of(name, names, backbone="resnet10t", backbone_options=TINY, image_size=32):
    torch.manual_seed(len(names))
    options = ModelOptions(backbone=backbone, backbone_options=backbone_options)
    state = build_classifier(options, LabelContext(LabelSpace(names))).state_dict()
    info = CheckpointInfo(
        name=name,
        role=name.partition(".")[0],
        labels=names,
        label_fingerprint=LabelSpace(names).fingerprint,
        model=options,
        image_size=image_size,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        components={},
        epoch=1,
        averaged=True,
        validation_map=None,
        seconds=1.0,
        history=[],
    )
    return Checkpoint({key: value.numpy() for key, value in state.items()}, info)


@pytest.fixture
def chosen(labels):
    return choose_images(labels, 9)


def test_each_pair_is_mapped_by_the_models_trained_on_its_label(images, chosen):
    names = chosen.space.names
    teacher = checkpoint_of("teachers.cgp_0", names[1::-1])  # in another order
    models = (checkpoint_of("baseline", names), teacher)
    found = map_models(models, images, chosen, OPTIONS, min_cells=4)
    assert len(found) == (chosen.states == 1).sum() and list(found.maps) == [
        "baseline",
        "teachers.cgp_0",
    ]
    assert found.known("baseline").all()
    assert found.known("teachers.cgp_0").tolist() == np.isin(found.labels, names[:2]).tolist()
    for pair in np.flatnonzero(found.known("teachers.cgp_0")):
        alone = map_alone(teacher, images, found.ids[pair], found.labels[pair])
        np.testing.assert_allclose(found.maps["teachers.cgp_0"][pair], alone, atol=1e-6)


def map_alone(checkpoint, images, name, label):
    info, model = checkpoint.info, checkpoint.build().requires_grad_(False)
    pixels = torch.from_numpy(images.pixels[images.rows([name])])
    images = preprocess_whole(pixels, info.image_size, info.mean, info.std)
    column = torch.tensor([info.labels.index(label)])
    return class_activation(model, images, torch.tensor([0]), column, 4)[0]


def test_models_without_a_map_are_left_out_with_a_warning(images, chosen, caplog):
    vit = checkpoint_of("student", chosen.space.names, "test_vit", {}, image_size=160)
    found = map_models([vit], images, chosen, OPTIONS, min_cells=4)
    assert found.maps == {} and "student" in caplog.text


def test_teacher_of_labels_that_no_image_has_is_left_out(images, chosen):
    present = chosen.with_labels([0, 1]).take(np.flatnonzero(chosen.states[:, 0] == 1))
    stranger = checkpoint_of("teachers.cgp_1", ("blue", "bright"))
    assert map_models([stranger], images, present, OPTIONS, 4).maps == {}
