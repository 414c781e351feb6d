"""C-Tran as baseline, teacher and student: whole runs in every mode, up to the exported model."""

import json

import numpy as np
import pytest

import mlic
from tests.test_run import TINY

pytestmark = pytest.mark.slow  # whole runs

HEAD = {"head": "c_tran", "head_options": {"width": 16, "layers": 1, "heads": 2, "dropout": 0}}


@pytest.mark.parametrize("mode", ["joint", "frozen", "separate"])
def test_every_model_of_a_run_can_use_known_labels(mode, tmp_path, copy_project, run_project):
    project = copy_project(tmp_path)
    model = {**TINY["model"], **HEAD}
    run_project(project, **{**TINY, "model": model, "teachers": {"mode": mode}})
    report = project / "data/08_reporting/base"
    found = json.loads((report / "known_label_scores.json").read_text())
    assert list(found["scores"]) == ["baseline", "student"]
    assert list(found["scores"]["student"]) == ["0", "25", "50", "75"]
    assert len(found["interventions"]) == 8
    assert "Known labels" in (report / "report.html").read_text()
    student = mlic.load_model(project / "data/06_models/base/student.safetensors", device="cpu")
    assert student.checkpoint.info.model.head == "c_tran"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    change = student.intervene(pixels, {student.labels[0]: True})
    assert (change[student.labels[0]] > 0).all() and (change.iloc[:, 1:] != 0).any(axis=None)
