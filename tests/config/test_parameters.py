"""Parameters: checked all at once, each mistake with its key and a way out."""

from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader

from mlic.config.parameters import Parameters, check_parameters
from mlic.errors import ParameterError

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def raw():
    loader = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="base")
    return loader["parameters"]


def mistakes(raw):
    with pytest.raises(ParameterError) as caught:
        check_parameters(raw)
    return str(caught.value)


def test_the_projects_own_are_sound(raw):
    parameters = check_parameters(raw)
    assert isinstance(parameters, Parameters) and parameters.seed == 0


def test_all_mistakes_are_listed_with_their_keys(raw):
    raw["seed"] = -1
    raw["training"]["epochs"] = "many"
    raw["training"]["epoch"] = 3
    raw["partition"]["strategies"] = ["cgp", "xgp"]
    raw["evaluation"]["threshold"] = 7
    del raw["model"]["backbone"]
    told = mistakes(raw)
    assert told.startswith("6 parameters are wrong:\n")
    assert "  seed: input should be greater than or equal to 0 (got -1)" in told
    assert "  training.epochs: input should be a valid integer" in told
    assert "(got 'many')" in told
    assert "  training.epoch: unknown; did you mean 'training.epochs'?" in told
    assert "  partition.strategies.1: input should be 'baseline', 'cgp', 'dgp', " in told
    assert "(got 'xgp')" in told
    assert "  evaluation.threshold: " in told
    assert "  model.backbone: missing; set it in conf" in told


def test_one_mistake_is_one(raw):
    raw["seed"] = "x"
    assert mistakes(raw).startswith("1 parameter is wrong:")


@pytest.mark.parametrize(
    ("place", "key", "hint"),
    [
        ("training", "lerning_rate", "training.learning_rate"),
        ("data", "epochs", "training.epochs"),
        ("distillation", "hard_wieght", "distillation.hard_weight"),
    ],
)
def test_an_unknown_key_gets_a_hint_with_its_place(raw, place, key, hint):
    raw[place][key] = 1
    assert f"{place}.{key}: unknown; did you mean '{hint}'?" in mistakes(raw)


def test_a_key_like_no_other_gets_none(raw):
    raw["qqqqqqqq"] = 1
    assert mistakes(raw).endswith("qqqqqqqq: unknown")


@pytest.mark.parametrize("written", ["cgp+dgp", ["cgp", "dgp"]])
def test_strategies_can_be_written_on_the_command_line(raw, written):
    raw["partition"]["strategies"] = written
    assert check_parameters(raw).partition.strategies == ("cgp", "dgp")
    raw["partition"]["strategies"] = "dgp"
    assert check_parameters(raw).partition.strategies == ("dgp",)


@pytest.mark.parametrize(
    ("place", "key", "value", "hint"),
    [
        ("model", "head", "linaer", "linear"),
        ("training", "loss", {"name": "asymetric"}, "asymmetric"),
        ("distillation", "distiller", {"name": "logit_mes"}, "logit_mse"),
    ],
)
def test_unknown_plugins_get_a_hint(raw, place, key, value, hint):
    raw[place][key] = value
    told = mistakes(raw)
    assert f"{place}.{key}: unknown name" in told and f"did you mean '{hint}'" in told


# Overrides of a role


def test_overrides_are_worked_in(raw):
    raw["training"]["overrides"] = {"student": {"epochs": 77, "loss": {"name": "asymmetric"}}}
    training = check_parameters(raw).training
    assert training.for_role("student").epochs == 77
    assert training.for_role("teacher").epochs == 2 * raw["training"]["epochs"]
    assert training.for_role("teacher").overrides == training.for_role("student").overrides == {}


def test_a_patient_student_learns_for_longer(raw):
    raw["training"] |= {"epochs": 3, "teacher_epoch_factor": 1, "student_epoch_factor": 1.5}
    training = check_parameters(raw).training
    assert [training.for_role(role).epochs for role in ("teacher", "student")] == [3, 4]
    raw["training"]["teacher_epoch_factor"] = 2
    assert check_parameters(raw).training.for_role("teacher").epochs == 6
    raw["training"]["student_epoch_factor"] = 9  # does not make other trainings anew
    assert check_parameters(raw).training.for_role("baseline") == training.for_role("baseline")


def test_wrong_overrides_are_named_and_told_briefly(raw):
    raw["training"]["overrides"] = {"student": {"epochs": 0, "epoch": 3}}
    told = mistakes(raw)
    assert "training: overrides.student.epochs: Input should be greater" in told
    assert "overrides.student.epoch: Extra inputs" in told
    assert "errors.pydantic.dev" not in told and "got" not in told and told.count("\n") == 1


def test_an_override_of_nobody_is_refused(raw):
    raw["training"]["overrides"] = {"studnet": {"epochs": 1}}
    assert "unknown role 'studnet'" in mistakes(raw)


@pytest.mark.parametrize("key", ["augmentation", "overrides"])
def test_what_all_roles_share_cannot_be_overridden(raw, key):
    raw["training"]["overrides"] = {"student": {key: {}}}
    assert f"overrides.student: '{key}' is the same for all roles" in mistakes(raw)


# Shares of the strategies


def test_shares_name_every_strategy(raw):
    raw["partition"]["strategies"] = "cgp+dgp"
    raw["distillation"]["shares"] = {"cgp": 0.7, "dgp": 0.3}
    distillation = check_parameters(raw).distillation
    assert distillation.share("cgp", ["cgp", "dgp"]) == 0.7
    raw["distillation"]["shares"] = {"cpg": 1.0}
    told = mistakes(raw)
    assert "distillation.shares: names cpg, but partition.strategies are cgp, dgp" in told
    assert "got" not in told


def test_without_shares_all_weigh_the_same(raw):
    share = check_parameters(raw).distillation.share
    assert share("cgp", ["cgp"]) == 1 and share("dgp", ["cgp", "dgp"]) == 0.5


# Strategies and controls


def test_an_exponent_left_out_keeps_its_default(raw):
    raw["partition"]["exponents"] = {"dgp": 0.5}
    assert check_parameters(raw).partition.exponents == {"cgp": 0.5, "dgp": 0.5}
    del raw["partition"]["exponents"]
    assert check_parameters(raw).partition.exponents == {"cgp": 0.5, "dgp": pytest.approx(1 / 3)}
    raw["partition"]["exponents"] = {"random": 0.5}
    assert "partition.exponents.random" in mistakes(raw)


def test_controls_stand_beside_the_cuts(raw):
    raw["partition"] |= {
        "strategies": "cgp+dgp+random+user+full_label+baseline",
        "num_full_label": 2,
    }
    partition = check_parameters(raw).partition
    assert partition.partitioned == ("cgp", "dgp", "random", "user")
    assert partition.trained == (*partition.partitioned, "full_label")
    raw["partition"] |= {"strategies": "plain+full_label", "num_full_label": 0}
    told = mistakes(raw)
    assert "a strategy is listed twice" in told and "partition.num_full_label: " in told


@pytest.mark.parametrize("strategies", ["full_label", "user", "user+full_label"])
def test_groups_that_are_not_drawn_need_not_fit_the_scenes(raw, strategies):
    raw["partition"] |= {"strategies": strategies, "num_parts": 12}
    assert check_parameters(raw)
    raw["partition"]["strategies"] = f"{strategies}+random"
    assert "groups of at least 2 do not fit 12 labels" in mistakes(raw)
