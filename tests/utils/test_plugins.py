import pytest
import torch

from mlic.errors import ParameterError
from mlic.utils.plugins import build_plugin, list_plugins, refuse_unknown_plugin

PACKAGES = ["mlic.losses", "mlic.losses.distillation", "mlic.models.heads"]
ARGUMENTS = {"mlic.models.heads": (8, 3)}


def test_names_are_modules_and_not_packages():
    assert list_plugins("mlic.losses") == ["asymmetric", "binary_cross_entropy"]
    assert {"binary_kl", "logit_mse"} <= set(list_plugins("mlic.losses.distillation"))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_plugin_can_be_built_by_its_name(package):
    for name in list_plugins(package):
        with torch.device("meta"):  # some heads are large
            assert callable(build_plugin(package, name, {}, *ARGUMENTS.get(package, ())))


def test_options_reach_the_plugin():
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
def test_an_unknown_name_gets_a_hint(package, wrong, right):
    with pytest.raises(ParameterError, match=f"'{wrong}'; did you mean '{right}'"):
        build_plugin(package, wrong, {})
    with pytest.raises(ValueError, match=right):  # what pydantic's validators want
        refuse_unknown_plugin(package, wrong)


def test_a_name_like_no_other_gets_the_list():
    with pytest.raises(ParameterError, match="'zzz'; known are asymmetric, binary_cross_entropy"):
        build_plugin("mlic.losses", "zzz", {})


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(ParameterError, match=r"'gama'.*options are gamma_negative, gamma_pos"):
        build_plugin("mlic.losses", "asymmetric", {"gama": 1})
    with pytest.raises(ParameterError, match=r"logit_mse.*its options are none"):
        build_plugin("mlic.losses.distillation", "logit_mse", {"temperature": 1})


@pytest.mark.parametrize("value", [1.5, "much"])
def test_a_refused_value_names_the_plugin(value):
    with pytest.raises(ParameterError, match=r"heads\.linear: .*options are dropout"):
        build_plugin("mlic.models.heads", "linear", {"dropout": value}, 8, 3)
