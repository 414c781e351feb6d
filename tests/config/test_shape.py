"""The shape of a run: read from the parameters, it names teachers and training inputs."""

from pathlib import Path

import pytest

from mlic.config.parameters import check_parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.config.shape import RunShape, get_shape, set_shape

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def raw():
    loader = RecipeConfigLoader(str(CONF), base_env="base", default_run_env="base")
    return loader["parameters"]


def read(raw):
    return RunShape.from_parameters(check_parameters(raw))


def test_shape_is_read_from_the_parameters(raw):
    raw["data"]["source"] = "catalog"
    raw["partition"] |= {"strategies": "dgp+full_label", "num_parts": 4, "num_full_label": 2}
    raw["teachers"]["mode"] = "frozen"
    raw["controls"] = {"budget_matched_baseline": True}
    expected = RunShape("catalog", ("dgp", "full_label"), 4, 2, "frozen", frozenset(), True)
    assert read(raw) == expected


def test_embeddings_are_read_from_the_catalog_only_if_they_are_given(raw):
    raw["model"]["head"] = "transformer_encoder"
    assert read(raw).context == frozenset()  # learned embeddings start from random numbers
    raw["model"]["embeddings"] = {"source": "spectral", "dimension": 5}
    shape = read(raw)
    assert shape.context == {"embeddings"}
    assert shape.training_inputs["embeddings"] == "label_embeddings"


def test_training_inputs_name_the_catalog_entries_of_every_training():
    assert RunShape().training_inputs == {
        "images": "images",
        "labels": "labels",
        "data": "params:data",
        "model": "params:model",
        "training": "params:training",
        "seed": "params:seed",
    }


def test_teachers_are_listed_strategy_by_strategy():
    shape = RunShape(strategies=("baseline", "cgp", "full_label"), num_parts=3, num_full_label=2)
    names = [str(teacher) for teacher in shape.teachers]
    assert names == ["cgp_0", "cgp_1", "cgp_2", "full_label_0", "full_label_1"]
    assert [str(teacher) for teacher in shape.teachers_of("full_label")] == names[3:]
    assert not shape.teachers_of("baseline")  # it is trained as the baseline


def test_strategies_differ_in_what_they_have():
    shape = RunShape(strategies=("baseline", "cgp", "full_label"))
    assert shape.baseline_teaches and not RunShape(strategies=("cgp",)).baseline_teaches
    assert shape.trained_strategies == ("cgp", "full_label")
    assert shape.partition_strategies == ("cgp",)


@pytest.mark.parametrize(("source", "known"), [("synthetic", True), ("catalog", False)])
def test_masks_of_objects_are_known_for_synthetic_images_only(source, known):
    assert RunShape(source=source).has_masks is known


def test_shape_that_was_set_last_is_returned_until_it_is_forgotten():
    try:
        for shape in (RunShape(num_parts=2), RunShape(num_parts=5)):
            set_shape(shape)
            assert get_shape() is shape
    finally:
        set_shape(None)
    assert get_shape() is None
