import numpy as np
import pytest

from mlic.errors import DataError, LabelError, TrainingError
from mlic.images.store import PictureStore
from mlic.models.options import ModelOptions
from mlic.training.options import DistillationOptions
from mlic.training.targets import SoftTargets

SOFT = DistillationOptions()


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


def test_fitting_targets_are_taken(make_job, make_targets):
    job = make_job(targets=make_targets(), distillation=SOFT)
    assert job.components()["targets"] == job.targets.fingerprint


def test_targets_of_other_pictures_are_refused(make_job, make_targets, labels):
    for ids in (labels.ids[::-1][:24], make_job().train_ids[:5]):
        with pytest.raises(DataError, match="other training pictures or other views"):
            make_job(targets=make_targets(ids=ids), distillation=SOFT)


@pytest.mark.parametrize(
    "change", [{"view_seed": 9}, {"augmentation": {"views": 3}}, {"augmentation": {"flip": False}}]
)
def test_targets_of_other_views_are_refused(make_job, make_targets, change):
    with pytest.raises(DataError, match="other views"):
        make_job(targets=make_targets(), distillation=SOFT, **change)


def test_targets_of_other_labels_are_refused(make_job, make_targets, labels):
    turned = make_targets(space=labels.space.subset([1, 0, 2, 3]))
    with pytest.raises(LabelError, match="label 0 is 'red' in the labels but 'green' in the soft"):
        make_job(targets=turned, distillation=SOFT)


def test_targets_and_their_weight_go_together(make_job, make_targets):
    for half in ({"targets": make_targets()}, {"distillation": SOFT}):
        with pytest.raises(TrainingError, match="give both or neither"):
            make_job(**half)


def test_pictures_in_another_order_are_refused(make_job, pictures):
    turned = PictureStore.from_arrays(pictures.ids[::-1], pictures.pixels[::-1])
    with pytest.raises(DataError, match="not of the same pictures"):
        make_job(pictures=turned)


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
def test_all_that_decides_is_a_component(make_job, change, key):
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


def test_labels_and_pictures_are_components(make_job, labels, pictures):
    before = make_job().components()
    other = PictureStore.from_arrays(pictures.ids, pictures.pixels + np.uint8(1))
    after = make_job(labels=labels.with_labels([0, 1, 2]), pictures=other).components()
    assert {key for key in before if before[key] != after[key]} == {"labels", "data"}
