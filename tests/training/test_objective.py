import pytest
import torch

from mlic.errors import ParameterError
from mlic.training.distillation_options import DistillationOptions
from mlic.training.objective import check_plugins, count_known, reduce_terms
from mlic.training.options import TrainingOptions

OPTIONS = TrainingOptions(epochs=1, batch_size=4, learning_rate=1)


def test_wrong_options_of_plugins_are_errors_before_training():
    soft = DistillationOptions(distiller={"name": "binary_kl", "options": {"temperture": 2}})
    with pytest.raises(ParameterError) as caught:
        check_plugins(OPTIONS, soft)
    assert caught.value.fields["name"] == "binary_kl"
    clip = {"student": {"loss": {"name": "asymmetric", "options": {"clip": 2}}}}
    with pytest.raises(ParameterError, match="clip=2"):
        check_plugins(OPTIONS.model_copy(update={"overrides": clip}), DistillationOptions())
    check_plugins(OPTIONS, DistillationOptions())


@pytest.mark.parametrize(("reduction", "expected"), [("mean", 2.0), ("sum", 6.0)])
def test_terms_are_reduced_over_known_states(reduction, expected):
    states = torch.tensor([[1, 0], [-1, 1]])
    options = OPTIONS.model_copy(update={"reduction": reduction})
    terms = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    assert reduce_terms(terms, count_known(states), options) == expected


def test_mean_over_no_known_state_is_defined():
    assert count_known(torch.full((2, 2), -1)) == 1
