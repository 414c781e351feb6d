"""Plug-ins are modules that are found and built by their names."""

import pytest
import torch

from mlic.errors import ParameterError
from mlic.labels import LabelSpace
from mlic.labels.context import LabelContext
from mlic.utils.plugins import build_plugin, find_plugin, list_plugins, refuse_unknown_plugin

PACKAGES = ["mlic.losses", "mlic.losses.distillation", "mlic.models.heads"]
CONTEXT = LabelContext(LabelSpace(("cat", "dog", "sofa")))
ARGUMENTS = {"mlic.models.heads": (8, CONTEXT)}


def test_names_are_modules_but_neither_packages_nor_base_classes():
    assert list_plugins("mlic.losses") == [
        "angular_asymmetric",
        "asymmetric",
        "binary_cross_entropy",
    ]
    assert {"binary_kl", "logit_mse"} <= set(list_plugins("mlic.losses.distillation"))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_plugin_can_be_built_by_its_name(package):
    for name in list_plugins(package):
        with torch.device("meta"):  # some heads are large
            assert callable(build_plugin(package, name, {}, *ARGUMENTS.get(package, ())))


def test_options_are_passed_to_the_plugin():
    low, absent = torch.tensor([[-2.0]]), torch.tensor([[0]])  # σ(−2) = 0.12
    assert build_plugin("mlic.losses", "asymmetric", {"clip": 0.2})(low, absent).item() == 0
    assert build_plugin("mlic.losses", "asymmetric", {"clip": 0.0})(low, absent).item() > 0


@pytest.mark.parametrize(
    ("package", "wrong", "right"),
    [
        ("mlic.losses", "asymetric", "asymmetric"),
        ("mlic.losses.distillation", "binary_lk", "binary_kl"),
        ("mlic.models.heads", "linaer", "linear"),
    ],
)
def test_unknown_name_gets_a_hint(package, wrong, right):
    with pytest.raises(ParameterError, match=f"did you mean '{right}'") as caught:
        build_plugin(package, wrong, {})
    assert caught.value.fields == {"name": wrong}
    with pytest.raises(ValueError, match=right):  # pydantic's validators expect a ValueError
        refuse_unknown_plugin(package, wrong)


def test_name_that_resembles_no_other_gets_the_list():
    with pytest.raises(ParameterError, match="asymmetric, binary_cross_entropy"):
        build_plugin("mlic.losses", "zzz", {})


@pytest.mark.parametrize("name", ["base", "heads", "_private"])
def test_base_class_is_no_plugin(name):
    with pytest.raises(ParameterError) as caught:
        find_plugin("mlic.models.heads", name)
    assert caught.value.fields == {"name": name}


def test_package_that_does_not_exist_is_an_error():
    with pytest.raises(ParameterError) as caught:
        list_plugins("mlic.nothing")
    assert caught.value.fields == {"name": "mlic.nothing"}


def test_unknown_option_is_named_with_the_known_options():
    with pytest.raises(ParameterError, match="'gama'") as caught:
        build_plugin("mlic.losses", "asymmetric", {"gama": 1})
    known = ["gamma_negative", "gamma_positive", "clip", "focusing_gradient"]
    assert caught.value.fields == {"name": "asymmetric", "expected": known}
    with pytest.raises(ParameterError) as caught:
        build_plugin("mlic.losses.distillation", "logit_mse", {"temperature": 1})
    assert caught.value.fields == {"name": "logit_mse", "expected": []}


@pytest.mark.parametrize("value", [1.5, "much"])
def test_value_that_the_plugin_refuses_is_an_error_with_its_name(value):
    with pytest.raises(ParameterError) as caught:
        build_plugin("mlic.models.heads", "linear", {"dropout": value}, 8, CONTEXT)
    assert caught.value.fields == {"name": "linear", "expected": ["dropout"]}
