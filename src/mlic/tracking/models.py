"""The student as a model in MLflow: logged with its signature, data and scores, and registered."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.tracking.runs import parent_uri
from mlic.tracking.store import connect, warn_if_refused
from mlic.utils.sqlite import file_of, is_sqlite

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from mlic.training.checkpoint import Checkpoint

__all__ = ["REQUIREMENTS", "log_model", "register_model"]

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]
# what `mlic.load_model` and `predict` import; mlic itself is copied beside the model
REQUIREMENTS = (
    *("filelock", "lazy_loader", "mlflow", "networkx", "numpy", "pandas", "pillow", "pydantic"),
    *("safetensors", "scipy", "timm", "torch", "torchvision", "tqdm"),
)
_URI = "MLFLOW_TRACKING_URI"
SCORE = "validation_mAP"  # tag of a registered version, percent


@dataclass(frozen=True)
class _Example:
    """A request, and what the model answers."""

    request: pd.DataFrame
    answer: pd.DataFrame


def log_model(
    run_id: str, checkpoint: Checkpoint, file: Path, scores: Mapping[str, float], counts: Any
) -> str | None:
    """Log a calibrated model under a run, with signature, example, data and scores.

    Parameters
    ----------
    run_id
        The run of the pipeline.
    checkpoint, file
        The model, and its file.
    scores
        Scores on the test split, by name.
    counts
        Table of the labels' images, which describes the data.

    Returns
    -------
    str or None
        MLflow's id of the model; None if MLflow refused it, which a warning says.
    """
    import mlflow
    from mlflow.models import infer_signature

    example = _make_example(checkpoint)
    with warn_if_refused("the model"), _active(run_id):
        made = mlflow.pyfunc.log_model(
            name=checkpoint.info.name,
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"checkpoint": str(file.absolute())},
            code_paths=[str(PACKAGE)],
            signature=infer_signature(example.request, example.answer),
            input_example=example.request,
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            metadata={"fingerprint": checkpoint.fingerprint},
        )
        data = mlflow.data.from_pandas(
            counts, name="labels", digest=str(checkpoint.info.components.get("labels", ""))[:16]
        )
        mlflow.log_input(data, context="training", model=None)
        mlflow.log_metrics(dict(scores), model_id=made.model_id, dataset=data)
        return str(made.model_id)
    return None


def register_model(model_id: str, checkpoint: Checkpoint, name: str, alias: str) -> None:
    """Register a logged model, and move an alias to it if its validation mAP is higher.

    Parameters
    ----------
    model_id
        MLflow's id of the model.
    checkpoint
        The model.
    name, alias
        Name of the registered model, and the alias of its best version.
    """
    import mlflow

    client, score = connect(parent_uri()), checkpoint.info.validation_map
    with warn_if_refused("the registered model"), _tracking_uri():
        made = mlflow.register_model(f"models:/{model_id}", name)
        before = _score_of_alias(client, name, alias)
        if score is not None:
            client.set_model_version_tag(name, made.version, SCORE, f"{100 * score:.4f}")
        if before is None or (score is not None and 100 * score > before):
            client.set_registered_model_alias(name, alias, made.version)
            log.info("%s version %s is now '%s'", name, made.version, alias)
        else:
            log.info(
                "%s version %s is registered; '%s' keeps its model, whose validation mAP of "
                "%.2f %% is not below", name, made.version, alias, before
            )  # fmt: skip


def _score_of_alias(client: MlflowClient, name: str, alias: str) -> float | None:
    """Validation mAP of the version that has the alias, in percent; None if there is none."""
    aliases = client.get_registered_model(name).aliases
    if alias not in aliases:
        return None
    tags = client.get_model_version(name, aliases[alias]).tags
    return float(tags[SCORE]) if SCORE in tags else None


def _make_example(checkpoint: Checkpoint) -> _Example:
    """Predict a grey image, as a client would ask for it."""
    import pandas as pd
    from PIL import Image

    from mlic.inference.model import TrainedModel

    file, side = io.BytesIO(), checkpoint.decoded_size
    Image.new("RGB", (side, side), (127, 127, 127)).save(file, format="PNG")
    answer = TrainedModel(checkpoint, device="cpu").predict([file.getvalue()])
    request = pd.DataFrame({"image": [base64.b64encode(file.getvalue()).decode()]})
    return _Example(request, answer.drop(columns="image"))


@contextlib.contextmanager
def _active(run_id: str) -> Iterator[None]:
    """Make a run MLflow's active one, in the folder where relative artifact paths start."""
    import mlflow

    with _tracking_uri(), mlflow.start_run(run_id=run_id, log_system_metrics=False):
        yield


@contextlib.contextmanager
def _tracking_uri() -> Iterator[None]:
    import mlflow

    uri, before = parent_uri(), mlflow.get_tracking_uri()
    # MLflow also writes the address into the environment, where mlflow.yml of a later run would
    # read it.
    variable = os.environ.get(_URI)
    root = file_of(uri).parent if is_sqlite(uri) else Path.cwd()
    mlflow.set_tracking_uri(uri)
    # Its bars and its hints about type annotations would stand among the results.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        with contextlib.chdir(root), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        mlflow.set_tracking_uri(before)
        os.environ.pop(_URI, None)
        if variable is not None:
            os.environ[_URI] = variable
