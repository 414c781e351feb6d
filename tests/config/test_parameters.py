"""Parameters are checked all at once; each mistake is reported with its key and a hint."""

from pathlib import Path

import pytest

from mlic.config.parameters import Parameters, check_parameters
from mlic.config.recipes import RecipeConfigLoader
from mlic.config.shape import RunShape
from mlic.errors import ParameterError

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture
def raw():
    loader = RecipeConfigLoader(str(CONF), base_env="base", default_run_env="base")
    return loader["parameters"]


def refuse(raw):
    """Return the error that the parameters cause."""
    with pytest.raises(ParameterError) as caught:
        check_parameters(raw)
    return caught.value


def test_parameters_of_conf_base_are_valid(raw):
    parameters = check_parameters(raw)
    assert isinstance(parameters, Parameters) and parameters.seed == 0


def test_all_mistakes_are_listed_with_their_keys(raw):
    raw["seed"] = -1
    raw["training"]["epochs"] = "many"
    raw["training"]["epoch"] = 3
    raw["partition"]["strategies"] = ["cgp", "xgp"]
    raw["evaluation"]["threshold"] = 7
    del raw["model"]["backbone"]
    error = refuse(raw)
    keys = ["seed", "training.epochs", "training.epoch", "partition.strategies.1"]
    assert set(error.fields["parameters"]) == {*keys, "evaluation.threshold", "model.backbone"}
    first, *lines = str(error).splitlines()
    assert first.startswith("6 parameters") and len(lines) == 6
    wrong_values = [line for line in lines if "'many'" in line or "'xgp'" in line or "-1" in line]
    assert len(wrong_values) == 3
    assert any("'training.epochs'?" in line for line in lines)  # hint for the unknown key


def test_single_mistake_is_reported_in_the_singular(raw):
    raw["seed"] = "x"
    assert str(refuse(raw)).startswith("1 parameter is")


@pytest.mark.parametrize(
    ("section", "key", "hint"),
    [
        ("training", "lerning_rate", "training.learning_rate"),
        ("data", "epochs", "training.epochs"),
        ("distillation", "hard_wieght", "distillation.hard_weight"),
    ],
)
def test_unknown_key_gets_a_hint_with_its_section(raw, section, key, hint):
    raw[section][key] = 1
    error = refuse(raw)
    assert error.fields["parameters"] == [f"{section}.{key}"] and f"'{hint}'" in str(error)


def test_key_that_resembles_no_other_gets_no_hint(raw):
    raw["qqqqqqqq"] = 1
    error = refuse(raw)
    assert error.fields["parameters"] == ["qqqqqqqq"] and "did you mean" not in str(error)


@pytest.mark.parametrize("written", ["cgp+dgp", ["cgp", "dgp"]])
def test_strategies_can_be_joined_by_plus_signs(raw, written):
    raw["partition"]["strategies"] = written
    assert check_parameters(raw).partition.strategies == ("cgp", "dgp")
    raw["partition"]["strategies"] = "dgp"
    assert check_parameters(raw).partition.strategies == ("dgp",)


@pytest.mark.parametrize(
    ("section", "key", "value", "hint"),
    [
        ("model", "head", "linaer", "linear"),
        ("training", "loss", {"name": "asymetric"}, "asymmetric"),
        ("distillation", "distiller", {"name": "logit_mes"}, "logit_mse"),
    ],
)
def test_unknown_plugin_gets_a_hint(raw, section, key, value, hint):
    raw[section][key] = value
    error = refuse(raw)
    assert error.fields["parameters"] == [f"{section}.{key}"] and f"'{hint}'" in str(error)


# Overrides of a role


def test_overrides_are_applied_to_their_role(raw):
    raw["training"]["overrides"] = {"student": {"epochs": 77, "loss": {"name": "asymmetric"}}}
    training = check_parameters(raw).training
    assert training.for_role("student").epochs == 77
    assert training.for_role("teacher").epochs == 2 * raw["training"]["epochs"]
    assert training.for_role("teacher").overrides == training.for_role("student").overrides == {}


def test_epoch_factors_change_only_their_own_role(raw):
    raw["training"] |= {"epochs": 3, "teacher_epoch_factor": 1, "student_epoch_factor": 1.5}
    training = check_parameters(raw).training
    assert [training.for_role(role).epochs for role in ("teacher", "student")] == [3, 4]
    raw["training"]["teacher_epoch_factor"] = 2
    assert check_parameters(raw).training.for_role("teacher").epochs == 6
    raw["training"]["student_epoch_factor"] = 9  # other trainings stay up to date
    assert check_parameters(raw).training.for_role("baseline") == training.for_role("baseline")


def test_wrong_overrides_are_named_in_one_line(raw):
    raw["training"]["overrides"] = {"student": {"epochs": 0, "epoch": 3}}
    error = refuse(raw)
    assert error.fields["parameters"] == ["training"]
    message = str(error)
    assert "overrides.student.epochs" in message and "overrides.student.epoch:" in message
    assert "errors.pydantic.dev" not in message and message.count("\n") == 1


def test_overrides_of_an_unknown_role_are_refused(raw):
    raw["training"]["overrides"] = {"studnet": {"epochs": 1}}
    assert "'studnet'" in str(refuse(raw))


@pytest.mark.parametrize("key", ["augmentation", "overrides", "teacher_epoch_factor"])
def test_options_that_all_roles_share_cannot_be_overridden(raw, key):
    raw["training"]["overrides"] = {"student": {key: {}}}
    assert f"overrides.student: '{key}'" in str(refuse(raw))


# Shares of the strategies


def test_shares_must_name_every_strategy(raw):
    raw["partition"]["strategies"] = "cgp+dgp"
    raw["distillation"]["shares"] = {"cgp": 0.7, "dgp": 0.3}
    distillation = check_parameters(raw).distillation
    assert distillation.share("cgp", ["cgp", "dgp"]) == 0.7
    raw["distillation"]["shares"] = {"cpg": 1.0}
    message = str(refuse(raw))
    assert "distillation.shares" in message and "cpg" in message and "cgp, dgp" in message


def test_shares_are_equal_by_default(raw):
    share = check_parameters(raw).distillation.share
    assert share("cgp", ["cgp"]) == 1 and share("dgp", ["cgp", "dgp"]) == 0.5


@pytest.mark.parametrize("written", ["24+48", [24, 48]])
def test_sizes_of_teachers(raw, written):
    raw["training"]["overrides"] = {"teacher": {"sizes": written}}
    training = check_parameters(raw).training
    assert training.for_role("teacher").sizes == (24, 48)
    assert training.for_role("student").sizes is training.for_role("baseline").sizes is None


@pytest.mark.parametrize(
    ("section", "values", "named"),
    [
        ("training", {"sizes": [24, 48]}, "overrides.teacher"),
        ("training", {"overrides": {"student": {"sizes": [24, 48]}}}, "overrides.teacher"),
        ("training", {"overrides": {"teacher": {"sizes": [24, 64]}}}, "data.store_size"),
        ("training", {"overrides": {"teacher": {"sizes": []}}}, "overrides.teacher.sizes"),
        ("teachers", {"mode": "frozen"}, "teachers.mode"),
    ],
)
def test_sizes_that_cannot_be_trained_are_refused(raw, section, values, named):
    raw["training"]["overrides"] = {"teacher": {"sizes": [24, 48]}}
    raw[section] |= values
    assert named in str(refuse(raw))


@pytest.mark.parametrize(
    ("section", "values", "named"),
    [
        ("training", {"splice": {"share": 0.25}}, "only baseline and student"),
        ("training", {"overrides": {"baseline": {"splice": {"share": 1}, "peers": 1}}}, "peers"),
        ("partition", {"strategies": "baseline"}, "CGP"),
    ],
)
def test_splices_that_cannot_be_trained_are_refused(raw, section, values, named):
    own = {"splice": {"share": 0.25, "partners": "other_group"}}
    raw["training"]["overrides"] = {"student": own}
    assert RunShape.from_parameters(check_parameters(raw)).context == {"splice_groups"}
    raw[section] |= values
    assert named in str(refuse(raw))


def test_averaging_needs_the_start_of_the_baseline(raw):
    assert not check_parameters(raw).averaging.enabled
    raw["averaging"]["enabled"] = True
    assert "distillation.start" in str(refuse(raw))
    raw["distillation"]["start"] = "baseline"
    check_parameters(raw)
    raw["averaging"]["shares"] = [0.5, 1.0]
    assert refuse(raw).fields["parameters"] == ["averaging.shares.1"]


def test_linked_distillation_needs_one_loss(raw):
    raw["distillation"]["linked"] = True
    assert check_parameters(raw).distillation.linked
    own = {"loss": {"name": "asymmetric", "options": {"gamma_negative": 2}}}
    raw["training"]["overrides"] = {"teacher": own}
    assert "distillation.linked" in str(refuse(raw))
    raw["distillation"]["linked"] = False
    check_parameters(raw)


# Strategies and controls


def test_exponent_that_is_left_out_has_its_default(raw):
    raw["partition"]["exponents"] = {"dgp": 0.5}
    assert check_parameters(raw).partition.exponents == {"cgp": 0.5, "dgp": 0.5}
    del raw["partition"]["exponents"]
    assert check_parameters(raw).partition.exponents == {"cgp": 0.5, "dgp": pytest.approx(1 / 3)}
    raw["partition"]["exponents"] = {"random": 0.5}
    (key,) = refuse(raw).fields["parameters"]
    assert key.startswith("partition.exponents.random")


def test_strategies_with_partitions_are_a_part_of_those_with_teachers(raw):
    raw["partition"] |= {
        "strategies": "cgp+dgp+random+user+full_label+baseline",
        "num_full_label": 2,
    }
    partition = check_parameters(raw).partition
    assert partition.partitioned == ("cgp", "dgp", "random", "user")
    assert partition.trained == (*partition.partitioned, "full_label")


def test_strategy_given_twice_is_refused(raw):
    raw["partition"] |= {"strategies": "cgp+cgp", "num_full_label": 0}
    keys = refuse(raw).fields["parameters"]
    assert keys == ["partition.strategies", "partition.num_full_label"]


@pytest.mark.parametrize("strategies", ["full_label", "user", "user+full_label"])
def test_too_many_parts_are_refused_only_where_groups_are_computed(raw, strategies):
    raw["partition"] |= {"strategies": strategies, "num_parts": 12}
    assert check_parameters(raw)
    raw["partition"]["strategies"] = f"{strategies}+random"
    assert "partition.num_parts" in str(refuse(raw))


def test_weights_file_that_does_not_exist_is_named(raw, tmp_path):
    raw["model"]["weights"] = str(tmp_path / "gone.safetensors")
    assert str(tmp_path / "gone.safetensors") in str(refuse(raw))


def test_only_the_baseline_may_have_peers(raw):
    raw["training"]["overrides"] = {"baseline": {"peers": 1}}
    assert check_parameters(raw).training.for_role("baseline").peers == 1
    raw["training"]["overrides"] = {"student": {"peers": 1}}
    assert "training.overrides.baseline" in str(refuse(raw))
    raw["training"]["overrides"] = {}
    raw["training"]["peers"] = 1
    assert "training.overrides.baseline" in str(refuse(raw))


def test_scale_of_head_and_loss_must_be_the_same(raw):
    raw["training"]["loss"] = {"name": "angular_asymmetric"}
    raw["model"] |= {"head": "cosine"}
    check_parameters(raw)
    raw["training"]["loss"]["options"] = {"scale": 23.0}
    assert "training.loss.options.scale" in str(refuse(raw))
    raw["model"]["head_options"] = {"scale": 23.0}
    check_parameters(raw)
