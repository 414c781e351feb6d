"""All parameters are checked first, and the pipelines follow them."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.framework.project import pipelines

from mlic.config.recipes import RecipeConfigLoader
from mlic.config.shape import get_shape, set_shape
from mlic.errors import ParameterError
from mlic.hooks.pipeline_shape import PipelineShape

CONF = Path(__file__).resolve().parents[2] / "conf"


@pytest.fixture(autouse=True)
def no_shape():
    yield
    pipelines.configure(None)
    set_shape(None)


def context_with(**runtime_params):
    """A Kedro context for conf/base and parameters of the command line."""
    loader = RecipeConfigLoader(
        str(CONF), base_env="base", default_run_env="base", runtime_params=runtime_params
    )
    return SimpleNamespace(config_loader=loader)


def test_pipelines_follow_the_parameters_of_the_newest_context():
    for num_parts in (2, 4):
        partition = {"strategies": ["cgp"], "num_parts": num_parts}
        context = context_with(partition=partition, teachers={"mode": "separate"})
        PipelineShape().after_context_created(context)
        assert get_shape().num_parts == num_parts
        tags = [node.tags for node in pipelines["teacher_training"].nodes]
        assert sum("training" in each for each in tags) == num_parts


def test_wrong_parameters_are_refused_before_pipelines_are_built():
    with pytest.raises(ParameterError) as caught:
        PipelineShape().after_context_created(context_with(sed=3))
    assert caught.value.fields == {"parameters": ["sed"]}
    assert get_shape() is None


@pytest.mark.parametrize(
    ("source", "entries", "runtime_params", "is_wrong"),
    [
        ("synthetic", (), {}, False),
        ("catalog", ("raw_images",), {}, False),
        ("catalog", (), {}, True),
        ("synthetic", ("raw_images",), {"seed": 1}, True),
        ("synthetic", ("raw_images",), {"data": {"source": "synthetic"}}, False),
    ],
)
def test_source_of_the_images_must_agree_with_the_catalog(
    source, entries, runtime_params, is_wrong
):
    hook = PipelineShape()
    hook.after_context_created(context_with(**runtime_params))
    with pytest.raises(ParameterError) if is_wrong else nullcontext() as caught:
        hook.after_catalog_created(dict.fromkeys(entries), {"params:data.source": source})
    if is_wrong:
        assert caught.value.fields == {"parameter": "data.source"}
