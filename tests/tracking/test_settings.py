"""Settings of MLflow, and flat names for nested values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlic.config.parameters import check_parameters
from mlic.errors import ParameterError
from mlic.tracking.settings import (
    describe_run,
    flatten,
    flatten_numbers,
    read_settings,
)
from mlic.tracking.store import connect


def test_relative_database_is_below_the_root(tmp_path):
    assert read_settings({}, tmp_path).tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("uri", ["http://localhost:5000", "sqlite:////elsewhere/runs.db"])
def test_other_addresses_are_not_changed(uri, tmp_path):
    assert read_settings({"tracking_uri": uri}, tmp_path).tracking_uri == uri


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ({"uri_tracking": "x"}, {"parameter": "uri_tracking"}),
        ({"sampling_seconds": 0}, {"parameter": "sampling_seconds", "value": 0}),
    ],
)
def test_wrong_settings_are_refused(tmp_path, raw, fields):
    with pytest.raises(ParameterError) as caught:
        read_settings(raw, tmp_path)
    assert caught.value.fields == fields


@pytest.mark.parametrize(
    ("run_params", "source", "name", "data"),
    [
        ({"run_id": "1"}, "synthetic", "synthetic cgp+random K=4 seed=7", "synthetic"),
        (
            {"run_id": "1", "env": "voc2007", "pipeline_names": ["reporting"], "tags": ("a",)},
            "catalog",
            "reporting: voc2007 cgp+random K=4 seed=7",
            "voc2007",
        ),
    ],
)
def test_run_is_named_by_what_distinguishes_it(run_params, source, name, data):
    raw = {
        **{name: {} for name in ("synthetic", "distillation", "evaluation")},
        "model": {"backbone": "resnet10t"},
        "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
        "data": {"source": source},
        "partition": {"strategies": "cgp+random", "num_parts": 4},
        "teachers": {"mode": "joint"},
        "seed": 7,
    }
    found, tags = describe_run(run_params, check_parameters(raw))
    assert found == name
    expected = {"data": data, "strategies": "cgp+random", "num_parts": "4", "seed": "7"}
    assert {**expected, "role": "pipeline", "teachers": "joint"}.items() <= tags.items()
    assert tags.get("kedro.tags") == ("('a',)" if "tags" in run_params else None)
    assert all(isinstance(value, str) for value in tags.values())


KEYS = st.text("abc", min_size=1, max_size=3)
TREES = st.recursive(
    st.floats() | st.text("xy"), lambda leaf: st.dictionaries(KEYS, leaf, max_size=3), max_leaves=6
)


@given(st.dictionaries(KEYS, TREES, max_size=3))
def test_flat_keys_lead_to_the_same_leaves(tree):
    for path, value in flatten(tree).items():
        node = tree
        for key in path.split("."):
            node = node[key]
        assert node is value
    assert all(isinstance(value, float) for value in flatten_numbers(tree).values())


@pytest.mark.parametrize("name", ["x%20y", "a b", "q?r", "h#i", "ü[1]", "100%"])
def test_a_project_may_lie_in_any_folder(tmp_path, name):
    root = tmp_path / name
    root.mkdir()
    settings = read_settings({}, root)
    connect(settings.tracking_uri)
    assert (root / "mlflow.db").is_file() and [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "raw",
    [1, None, [], {"tracking_uri": 3}, {"experiment": " "}, {"sampling_seconds": True}, {1: 2},
     {"sampling_seconds": float("nan")}, {"required": "no"}],
)  # fmt: skip
def test_whatever_the_file_holds_is_one_error(raw, tmp_path):
    with pytest.raises(ParameterError, match=r"mlflow\.yml"):
        read_settings(raw, tmp_path)
