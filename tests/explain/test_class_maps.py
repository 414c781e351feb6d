import numpy as np
import pytest

from mlic.datasets import SafetensorsDataset
from mlic.errors import DataError
from mlic.explain.class_maps import ClassMaps, choose_images
from mlic.labels import LabelMatrix, LabelSpace


def class_maps():
    maps = np.random.default_rng(0).normal(size=(4, 3, 3)).astype(np.float32)
    partly = maps.copy()
    partly[[0, 2]] = np.nan
    named = {"student": maps, "teachers.cgp_0": partly, "baseline": -maps}
    return ClassMaps(["p", "p", "q", "r"], ["cat", "dog", "dog", "cow"], named)


def test_file_preserves_pairs_maps_and_the_order_of_models(tmp_path):
    dataset = SafetensorsDataset(
        str(tmp_path / "maps.safetensors"), cls="mlic.explain.class_maps.ClassMaps"
    )
    dataset.save(class_maps())
    again = dataset.load()
    assert list(again.maps) == list(class_maps().maps)
    assert again.ids.tolist() == ["p", "p", "q", "r"] and again.labels[3] == "cow"
    for model, maps in class_maps().maps.items():
        np.testing.assert_array_equal(again.maps[model], maps)


def test_maps_of_other_models_are_joined():
    mine, others = class_maps(), class_maps()
    separate = ClassMaps(
        mine.ids, mine.labels, {"budget_matched_baseline": others.maps["baseline"]}
    )
    both = mine.join(separate)
    assert list(both.maps) == [*mine.maps, "budget_matched_baseline"]
    reordered = ClassMaps(mine.ids[::-1], mine.labels, separate.maps)
    with pytest.raises(DataError):
        mine.join(reordered)


def test_pair_has_maps_of_the_models_trained_on_its_label():
    maps = class_maps()
    assert list(maps.of_pair(0)) == ["student", "baseline"]
    assert list(maps.of_pair(1)) == ["student", "teachers.cgp_0", "baseline"]


def test_examples_are_the_first_pairs_of_the_most_frequent_labels():
    assert class_maps().examples(2) == [1, 0]
    assert class_maps().examples(9) == [1, 0, 3]
    assert class_maps().examples(0) == []


def test_maps_of_another_length_are_refused():
    with pytest.raises(DataError):
        ClassMaps(["p"], ["cat"], {"student": np.zeros((2, 3, 3), np.float32)})


def test_choice_of_images_depends_on_ids_only():
    rng = np.random.default_rng(1)
    states = (rng.random((50, 3)) < 0.4).astype(np.int8)
    states[7] = [0, -1, 0]
    labels = LabelMatrix(LabelSpace(tuple("abc")), [f"p{i}" for i in range(50)], states, [""] * 50)
    chosen = choose_images(labels, 10)
    reordered = choose_images(labels.take(rng.permutation(50)), 10)
    assert chosen.ids.tolist() == reordered.ids.tolist() != sorted(chosen.ids.tolist())
    assert choose_images(labels, 5).ids.tolist() == chosen.ids.tolist()[:5]
    everything = choose_images(labels, 99)
    assert set(everything.ids) == set(labels.ids[(states == 1).any(axis=1)])
