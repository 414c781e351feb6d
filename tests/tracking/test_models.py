"""The student in MLflow: it predicts as its checkpoint does, and the best one has the alias."""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

import mlic
from mlic.caching.tensors import save_tensors
from mlic.inference.calibrate import calibrate_checkpoint
from mlic.inference.listing import list_images
from mlic.inference.onnx_file import export_onnx
from mlic.inference.options import CalibrationOptions
from mlic.inference.prediction import predict_to_files
from mlic.tracking.models import log_model, register_model
from mlic.tracking.runs import close_parent, open_parent
from mlic.tracking.settings import read_settings
from mlic.training.train import make_task, train

SCORES = {"mAP": 62.5, "OF1": 60.0}
COUNTS = pd.DataFrame({"label": ["red"], "train": [3.0]})


@pytest.fixture(scope="module")
def photos():
    """Two JPEG files, as bytes."""
    rng, files = np.random.default_rng(0), []
    for _ in range(2):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(file, "JPEG")
        files.append(file.getvalue())
    return files


@pytest.fixture
def logged(tmp_path, make_job, images, labels, monkeypatch):
    """A project whose run logged a student; its folder, checkpoint file and MLflow's id."""
    job = make_job()
    trained = train(make_task(job))[0]
    student = calibrate_checkpoint(trained, images, labels, job.options, CalibrationOptions())
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = tmp_path / "project"
    file = project / "student.safetensors"
    save_tensors(file, *student.to_tensors())
    settings = read_settings({"sampling_seconds": 9}, project)
    run_id = open_parent(settings, "run", {}, {})
    try:
        model_id = log_model(run_id, student, file, SCORES, COUNTS)
        yield project, student, file, model_id
    finally:
        close_parent("FINISHED")


def request_of(photos):
    return pd.DataFrame({"image": [base64.b64encode(photo).decode() for photo in photos]})


def test_logged_model_predicts_as_the_checkpoint_and_survives_a_move(
    logged, photos, tmp_path, monkeypatch
):
    project, student, _, model_id = logged
    moved = tmp_path / "moved"
    shutil.move(project, moved)
    assert "MLFLOW_TRACKING_URI" not in os.environ, "a later run would log to this store"
    monkeypatch.chdir(moved)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # restored after the test, as MLflow changes it
    # not relative: in one process MLflow remembers the file that such an address first meant
    mlflow.set_tracking_uri(f"sqlite:///{moved}/mlflow.db")
    found = mlflow.pyfunc.load_model(f"models:/{model_id}").predict(request_of(photos))
    expected = mlic.TrainedModel(student, device="cpu").predict(photos).drop(columns="image")
    pd.testing.assert_frame_equal(found, expected, atol=1e-6)
    model = MlflowClient().get_logged_model(model_id)
    assert {metric.key: metric.value for metric in model.metrics} == SCORES
    packed = list(moved.rglob("*.pkl"))
    assert not packed, "nothing is pickled"


def test_alias_moves_to_a_better_model_only(logged, caplog):
    project, student, _, model_id = logged
    client = MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")
    versions = []
    for score in (0.5, 0.4, 0.6):
        info = student.info.model_copy(update={"validation_map": score})
        register_model(model_id, replace(student, info=info), "ours", "champion")
        versions.append(client.get_model_version_by_alias("ours", "champion").version)
    assert [int(version) for version in versions] == [1, 1, 3]


@pytest.mark.slow
def test_all_four_ways_to_use_a_model_give_the_same(logged, photos, tmp_path, images):
    """Kedro's files, Python, ONNX, and MLflow's server over HTTP."""
    onnxruntime = pytest.importorskip("onnxruntime")
    project, student, file, model_id = logged
    model = mlic.load_model(file, device="cpu")
    names = list(model.labels)
    expected = model.probabilities(photos)

    (tmp_path / "photos").mkdir()
    for number, photo in enumerate(photos):
        (tmp_path / f"photos/{number}.jpg").write_bytes(photo)
    predict_to_files(model, list_images(tmp_path / "photos"), tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out/predictions.parquet")
    np.testing.assert_allclose(table[names], expected, atol=1e-4)

    session = onnxruntime.InferenceSession(export_onnx(model, images.pixels[:2]))
    side = (student.decoded_size,) * 2
    pixels = [
        Image.open(io.BytesIO(photo)).resize(side, Image.Resampling.BILINEAR) for photo in photos
    ]
    (found,) = session.run(["probabilities"], {"images": np.stack(pixels)})
    np.testing.assert_allclose(found, expected, atol=1e-4)

    rows = pd.DataFrame(serve(project, model_id, request_of(photos)))
    np.testing.assert_allclose(rows[names], expected, atol=1e-4)


def serve(project, model_id, request):
    """Ask MLflow's server for predictions, over HTTP on the loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ["-m", "mlflow", "models", "serve", "-m", f"models:/{model_id}"]
    server = subprocess.Popen(
        [sys.executable, *command, "--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)],
        cwd=project,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        return ask(port, json.dumps({"dataframe_records": request.to_dict("records")}).encode())
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def ask(port, body):
    address = f"http://127.0.0.1:{port}/invocations"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    for _ in range(120):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["predictions"]
        except urllib.error.URLError:
            time.sleep(0.5)  # it has not started yet
    raise TimeoutError("MLflow's server did not start")
