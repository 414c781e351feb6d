"""The program that MLflow runs to serve a model: images in base 64 in, probabilities out.

MLflow copies this file beside the checkpoint and executes it when the model is loaded ("models from
code"), so that nothing is pickled.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import mlflow
import pandas as pd  # MLflow reads the annotations when the class is made

from mlic.errors import DataError

__all__ = ["ServedModel"]


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Predicts the column ``image``: encoded images (JPEG, PNG, …) in base 64."""

    def load_context(self, context: Any) -> None:
        """Load the checkpoint that was logged with the model."""
        from mlic.inference.model import load_model

        self._model = load_model(context.artifacts["checkpoint"])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Predict the labels of images; see `mlic.inference.model.TrainedModel.predict`.

        Raises
        ------
        DataError
            If a text is not base 64, or an image is unreadable.
        """
        images = [_decode(row, text) for row, text in enumerate(model_input["image"])]
        return self._model.predict(images).drop(columns="image")


def _decode(row: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(
            f"image {row} of the request is not encoded in base 64 ({error}): encode the bytes of "
            "its file",
            name=row,
        ) from error


mlflow.models.set_model(ServedModel())
