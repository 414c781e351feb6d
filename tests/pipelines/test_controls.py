"""A whole run of all controls: other partitions, full-label teachers, the whole budget."""

import json
import sqlite3

import pytest

from mlic.images.options import SyntheticOptions
from mlic.images.synthetic.scenes import draw_scenes

pytestmark = pytest.mark.slow  # a whole run

PARAMETERS = {
    "synthetic": {"num_images": 160, "size": 32},
    "data": {"image_size": 32, "validation_fraction": 0.2, "test_fraction": 0.3},
    "model": {"backbone_options": {"channels": [8, 8, 16, 16], "stem_width": 8}},
    "training": {"epochs": 1, "threads": 1, "augmentation": {"views": 2}},
    "partition": {"num_parts": 2, "num_full_label": 2, "strategies": "random+user+full_label"},
    "controls": {"budget_matched_baseline": True},
}
MODELS = {"baseline", "budget_matched_baseline", "student"} | {
    f"teachers.{strategy}_{i}" for strategy in ("random", "user", "full_label") for i in (0, 1)
}


@pytest.fixture(scope="module")
def names():
    return draw_scenes(SyntheticOptions(num_images=20, size=32), 0)[0].labels.space.names


@pytest.fixture(scope="module")
def project(tmp_path_factory, copy_project, run_project, names):
    """A run in a copy of the project's configuration."""
    folder = copy_project(tmp_path_factory.mktemp("controls"))
    groups = folder / "mine.json"
    groups.write_text(json.dumps({"first": names[:5], "rest": names[5:]}))
    run_project(folder, **PARAMETERS, user_groups=str(groups))
    return folder


def test_every_control_is_in_the_summary(project, names):
    summary = json.loads((project / "data/08_reporting/base/summary.json").read_text())
    assert set(summary["partitions"]) == {"random", "user"}
    assert set(summary["teachers"]) == set(summary["seconds"]["teachers"])
    assert set(summary["teachers"]) == {"random", "user", "full_label"}
    user = summary["partitions"]["user"]
    assert (user["titles"], user["parts"][0]) == (["rest", "first"], list(names[5:]))
    assert all(
        {"ncut", "modularity"} <= p["quality"].keys() for p in summary["partitions"].values()
    )
    for figures in (summary["budget_matched_baseline"], *summary["teachers"].values()):
        assert 0 < figures["mAP"] <= 100
    assert len(summary["teachers"]["full_label"]["parts"]) == 2
    report = (project / "data/08_reporting/base/report.html").read_text()
    assert all(
        f">{shown}<" in report for shown in ("rest", "first", "full_label_0", "full_label_1")
    )


def test_every_control_has_its_own_mlflow_run(project):
    with sqlite3.connect(project / "mlflow.db") as database:
        runs = dict(database.execute("select name, status from runs").fetchall())
        query = """select value from params join runs using (run_uuid)
                   where name = 'budget_matched_baseline' and key = 'training.epochs'"""
        epochs = database.execute(query).fetchall()
    assert set(runs) > MODELS and set(runs.values()) == {"FINISHED"} and len(runs) == 10
    assert epochs == [(str(round((2 + 1 + 4 * 0.01) * (2 + 2 / 3) + 2)),)]


def test_full_label_teachers_have_no_partition(project):
    groups = [
        json.loads((project / f"data/05_model_input/base/group_full_label_{i}.json").read_text())
        for i in (0, 1)
    ]
    assert [group["part"] for group in groups] == [0, 1]
    assert not any("partition" in group for group in groups)
    assert not (project / "data/05_model_input/base/partition_full_label.json").exists()
    assert (
        "budget_matched_baseline"
        in (project / "data/08_reporting/base/average_precision.csv").read_text()
    )
