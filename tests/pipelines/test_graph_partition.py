import numpy as np
import pytest
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner

from mlic.labels import LabelSpace
from mlic.labels.options import PartitionOptions
from mlic.labels.statistics import count_labels
from mlic.pipelines.graph_partition import create_pipeline

OPTIONS = PartitionOptions(num_parts=2)


@pytest.fixture
def statistics():
    """Two companies of three labels each."""
    rng = np.random.default_rng(0)
    company = rng.integers(2, size=300)
    at_home = np.arange(6) // 3 == company[:, None]
    states = (rng.random((300, 6)) < np.where(at_home, 0.7, 0.1)).astype(np.int8)
    return count_labels(states, LabelSpace(tuple("abcxyz")))


def run(statistics, strategies, seed=0):
    inputs = {"label_statistics": statistics, "params:partition": OPTIONS, "params:seed": seed}
    catalog = DataCatalog.from_config({}, {})
    for name, value in inputs.items():
        catalog[name] = value
    outputs = SequentialRunner().run(create_pipeline(strategies), catalog)
    return {name: dataset.load() for name, dataset in outputs.items()}


def test_company_stays_together_or_is_broken_up(statistics):
    found = run(statistics, ("cgp", "dgp"))
    cgp, dgp = found["partition_cgp"], found["partition_dgp"]
    assert {cgp.names(0), cgp.names(1)} == {("a", "b", "c"), ("x", "y", "z")}
    assert all(set(dgp.names(i)) & set("abc") and set(dgp.names(i)) & set("xyz") for i in (0, 1))
    assert (cgp.exponent, dgp.exponent) == (1 / 2, 1 / 3)
    assert cgp.quality and dgp.quality and cgp.seed != dgp.seed


def test_one_strategy_is_enough_and_a_seed_decides(statistics):
    one, both = run(statistics, ("dgp",)), run(statistics, ("cgp", "dgp"))
    assert list(one) == ["partition_dgp"]
    assert one["partition_dgp"].to_dict() == both["partition_dgp"].to_dict()
