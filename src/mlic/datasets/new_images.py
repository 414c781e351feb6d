"""Images to predict, known labels, and the model, as the command line names them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from mlic.datasets.base import DatasetDataError, wrap_errors
from mlic.errors import CheckpointError

if TYPE_CHECKING:
    from mlic.inference.known import KnownTable
    from mlic.inference.listing import ImageList
    from mlic.training.checkpoint import Checkpoint

__all__ = ["KnownLabelsDataset", "NewImagesDataset", "TrainedModelDataset"]


class _ReadOnlyDataset(AbstractDataset[Any, Any]):
    """What a user named; a pipeline never writes it."""

    def __init__(self, source: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._source = source
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"source": self._source}

    def _exists(self) -> bool:
        return self._source is not None and Path(self._source).exists()

    def save(self, data: Any) -> None:
        """Refuse to write: always raises `DatasetDataError`."""
        raise DatasetDataError(f"{self._source} is read only, so no node can write it")


class NewImagesDataset(_ReadOnlyDataset):
    """Images of a folder, or of a CSV or Parquet list of paths.

    Parameters
    ----------
    source
        The folder or the list; see `mlic.inference.listing.list_images`.
    metadata
        Metadata for plugins, not used by mlic.
    """

    def load(self) -> ImageList:
        """List the images; none is read.

        Raises
        ------
        DatasetDataError
            If no source is named, it does not exist, or it is no list of images.
        """
        from mlic.inference.listing import list_images

        if self._source is None:
            raise DatasetDataError(
                "no images are named: give --params images=<folder, list of paths, or catalog "
                "entry>",
                parameter="images",
            )
        with wrap_errors(self._source):
            return list_images(self._source)


class KnownLabelsDataset(_ReadOnlyDataset):
    """Known labels of the images to predict; see `mlic.inference.known.read_known`.

    Parameters
    ----------
    source
        The CSV file.
    metadata
        Metadata for plugins, not used by mlic.
    """

    def load(self) -> KnownTable:
        """Read the table; a `DatasetDataError` if it is missing or contradicts itself."""
        from mlic.inference.known import read_known

        assert self._source is not None
        with wrap_errors(self._source):
            return read_known(self._source)


class TrainedModelDataset(_ReadOnlyDataset):
    """A trained model: a checkpoint file, or a run of MLflow that logged one.

    Parameters
    ----------
    source
        Path of a ``.safetensors`` file, the id of a run, or ``runs:/<id>``.
    tracking_uri
        Address of MLflow's store; the environment variable MLFLOW_TRACKING_URI replaces it.
    metadata
        Metadata for plugins, not used by mlic.
    """

    def __init__(
        self,
        source: str | None = None,
        tracking_uri: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(source, metadata)
        self._tracking_uri = tracking_uri

    def load(self) -> Checkpoint:
        """Load the model.

        Raises
        ------
        DatasetDataError
            If the source is neither a file nor a run with a model, or the file is no checkpoint.
        """
        from mlic.training.checkpoint import load_checkpoint

        assert self._source is not None
        with wrap_errors(self._source):
            is_file = Path(self._source).exists() or Path(self._source).suffix
            run = self._source.removeprefix("runs:/").strip("/")
            return load_checkpoint(self._source if is_file else self._download(run))

    def _download(self, run: str) -> Path:
        """Fetch the checkpoint that a run of MLflow logged."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        address = os.environ.get("MLFLOW_TRACKING_URI", self._tracking_uri)
        client = MlflowClient(tracking_uri=address)
        try:
            folder = Path(client.download_artifacts(run, "checkpoint"))
        except (MlflowException, OSError) as error:
            raise CheckpointError(
                f"model: '{run}' is no file, and MLflow has no run of this id with a checkpoint "
                f"({error}): give the path of a .safetensors file, or the id of a training's run",
                name=run,
            ) from error
        return next(folder.glob("*.safetensors"))
