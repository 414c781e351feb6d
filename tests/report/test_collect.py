import numpy as np
import pytest

from mlic.errors import CheckpointError, DataError, LabelError
from mlic.images.store import ImageStore
from mlic.report.collect import collect_class_maps, collect_predictions, describe_trainings
from tests.report.example_models import (
    NAMES,
    TRAINING,
    checkpoint_of,
    images_of,
    matrix_of,
    weights_of,
)


@pytest.fixture(scope="module")
def test_split():
    return matrix_of(num_test=9).in_split("test")


@pytest.fixture(scope="module")
def images():
    return images_of(matrix_of())


@pytest.fixture(scope="module")
def weights():
    return {size: weights_of(size) for size in (2, 4)}


class TestPredictions:
    def test_images_are_found_by_id(self, images, weights, test_split):
        student = checkpoint_of("student", weights=weights[4])
        found = collect_predictions([student], images, test_split, TRAINING)
        reversed_images = ImageStore.from_arrays(images.ids[::-1], images.pixels[::-1])
        again = collect_predictions([student], reversed_images, test_split, TRAINING)
        assert found.ids.tolist() == test_split.ids.tolist()
        assert found.logits["student"].shape == (9, 4)
        np.testing.assert_allclose(found.logits["student"], again.logits["student"], atol=1e-5)

    @pytest.mark.parametrize(
        ("names", "labels", "error", "named"),
        [
            (["user_0", "user_0"], NAMES, CheckpointError, "'user_0'"),
            (["student"], ("sea", "fog"), LabelError, "'fog'"),
        ],
    )
    def test_unfit_checkpoints_are_refused(
        self, images, weights, test_split, names, labels, error, named
    ):
        models = [checkpoint_of(name, labels, weights=weights[len(labels)]) for name in names]
        with pytest.raises(error, match=named):
            collect_predictions(models, images, test_split, TRAINING)

    def test_earlier_predictions_are_joined(self, images, weights, test_split):
        student, baseline = (
            checkpoint_of(name, weights=weights[4]) for name in ("student", "baseline")
        )
        earlier = collect_predictions([baseline], images, test_split, TRAINING)
        both = collect_predictions([student, earlier], images, test_split, TRAINING)
        assert both.logits.keys() == both.labels.keys() == {"student", "baseline"}
        np.testing.assert_array_equal(both.logits["baseline"], earlier.logits["baseline"])
        with pytest.raises(DataError):
            collect_predictions([earlier], images, test_split.take([0, 1]), TRAINING)


def test_earlier_class_maps_are_joined(images, weights, test_split):
    models = [checkpoint_of(name, weights=weights[4]) for name in ("student", "baseline")]
    shared = (images, test_split, TRAINING, 1)
    at_once = collect_class_maps(models, *shared)
    joined = collect_class_maps([models[0], collect_class_maps(models[1:], *shared)], *shared)
    assert list(joined.maps) == list(at_once.maps) == ["student", "baseline"]
    for name, maps in at_once.maps.items():
        np.testing.assert_array_equal(joined.maps[name], maps)


def test_earlier_descriptions_are_joined():
    models = [checkpoint_of(name) for name in ("student", "baseline")]
    described = describe_trainings([models[0], describe_trainings(models[1:])])
    assert described == describe_trainings(models)
    assert list(described) == ["student", "baseline"]
    assert described["student"]["fingerprint"] == models[0].fingerprint


def test_the_label_graph_of_a_head_is_described_strongest_neighbour_first():
    adjacency = np.array([[1, 0.1, 0.2, 0], [0, 1, 0, 0], [0.3, 0, 1, 0], [0, 0, 0, 1]])
    graph_model = checkpoint_of("student", weights={"head.adjacency": adjacency})
    found = describe_trainings([graph_model, checkpoint_of("baseline")])
    assert found["student"]["label_graph"] == {
        "sea": ["cow", "<b>R&D</b>"],
        "<b>R&D</b>": [],
        "cow": ["sea"],
        "field": [],
    }
    assert "label_graph" not in found["baseline"]
