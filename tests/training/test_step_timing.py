import pytest

from mlic.models.options import BranchedModelOptions
from mlic.training.options import TrainingOptions
from mlic.training.step_timing import measure_step

OPTIONS = TrainingOptions(epochs=1, batch_size=4, learning_rate=1, threads=1, precision="32")


@pytest.mark.parametrize("num_branches", [1, 3])
def test_measured_step_has_a_duration_and_a_number_of_parameters(make_job, num_branches):
    model = make_job().model
    if num_branches > 1:
        model = BranchedModelOptions(**model.model_dump(), branch={"width": 4})
    seconds, parameters = measure_step(model, OPTIONS, 32, 3, num_branches)
    assert 0 < seconds < 10
    assert parameters > 1000
