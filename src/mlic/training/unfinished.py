"""File of a training that has not ended, from which a later process continues."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlic.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlic.caching.store import ArtifactStore
    from mlic.training.job import TrainingJob
    from mlic.training.state import TrainingState

__all__ = ["UnfinishedTraining", "discard_unfinished", "is_unfinished"]

log = logging.getLogger(__name__)

_KIND = "unfinished"
_RUNS = "runs"  # entry of the metadata


class UnfinishedTraining:
    """State of the training of some jobs, saved from time to time and deleted at the end.

    It is one safetensors file in the store, replaced as a whole, and used only by a training that
    is made from the same components.

    Parameters
    ----------
    store
        Where the file lies.
    jobs
        All jobs that are trained together.
    """

    def __init__(self, store: ArtifactStore, jobs: Sequence[TrainingJob]) -> None:
        self.store, self.components = store, _components(jobs)
        self.runs: dict[str, str] = {}  # id of the MLflow run by job
        self._found = self._load()

    # A rank reads the file itself: arrays that are as large as the weights need not be sent.
    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "components": self.components, "runs": self.runs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._found = self.store.load(_KIND, self.components)

    def _load(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]] | None:
        found = self.store.load(_KIND, self.components)
        if found is not None:
            self.runs = json.loads(found[1][_RUNS])
        return found

    def restore(self, state: TrainingState, epochs: int) -> None:
        """Set the state to the saved one, if there is one."""
        if self._found is None:
            return
        state.load_tensors(*self._found)
        self._found = None
        batches = state.progress.batches
        place = f" and {batches} batches of the next one" if batches else ""
        log.info(
            "%s: continues after epoch %d of %d%s", self.store.name, state.epoch, epochs, place
        )

    def save(self, state: TrainingState) -> None:
        """Replace the file; without space for it, the training goes on and a warning says so."""
        arrays, metadata = state.to_tensors()
        own = {_RUNS: json.dumps(self.runs)}
        try:
            self.store.save(_KIND, self.components, arrays, {**metadata, **own})
        except DataError as error:
            log.warning("%s: a stop now would lose this training: %s", self.store.name, error)


def is_unfinished(store: ArtifactStore, jobs: Sequence[TrainingJob]) -> bool:
    """Whether the training of exactly these jobs has not ended, or not stored all its results."""
    return store.find(_KIND, _components(jobs)) is not None


def discard_unfinished(store: ArtifactStore) -> None:
    """Delete the file of a training whose checkpoints are stored, if there is one."""
    store.path(_KIND).unlink(missing_ok=True)


def _components(jobs: Sequence[TrainingJob]) -> dict[str, Any]:
    return {"jobs": {job.name: job.components() for job in jobs}}
