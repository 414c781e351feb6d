"""Shared by mlic's Kedro datasets: error messages, checks of paths, tables of labels."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from mlic.errors import DataError, MlicError
from mlic.images.records import ImageRecords

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from mlic.labels import LabelMatrix

__all__ = [
    "DatasetDataError",
    "ReadOnlyDataset",
    "label_table",
    "preview_labels",
    "read_json",
    "require_files",
    "resolve_inside",
    "wrap_errors",
]

_FIX_CONTENT = "correct the file, or run the pipelines that create it"


class DatasetDataError(DataError, DatasetError):
    """A mistake in data; Kedro does not wrap it, because it is Kedro's own error too."""


class ReadOnlyDataset(AbstractDataset[None, ImageRecords]):
    """Base class of data sets in a layout of their own, which mlic reads and never writes."""

    _folder: Path

    def save(self, data: None) -> None:
        """Refuse to write.

        Raises
        ------
        DatasetDataError
            Always.
        """
        raise DatasetDataError(
            f"{self._folder} is read only: save to a ManifestDataset", path=self._folder
        )


@contextmanager
def wrap_errors(place: Path | str) -> Iterator[None]:
    """Turn errors of the block into one `DatasetDataError` that names a place.

    Kedro would wrap any other error of a dataset in a longer one and hide the message in it.

    Parameters
    ----------
    place
        File or folder, put in front of messages that do not contain it.

    Raises
    ------
    DatasetDataError
        Instead of mlic's other errors, ``OSError``, ``ValueError`` and ``KeyError``; with the
        field ``path``.
    """
    try:
        yield
    except MlicError as error:
        text = str(error)
        message = text if str(place) in text else f"{place}: {text}"
        raise DatasetDataError(message, **{"path": place} | error.fields) from error
    except DatasetError:  # names its place already
        raise
    except FileNotFoundError as error:
        missing = error.filename or place
        raise DatasetDataError(
            f"{missing} does not exist: correct the path, or run the pipelines that create it "
            "(kedro run creates everything)",
            path=Path(missing),
        ) from error
    except (OSError, ValueError, KeyError) as error:
        # Errors of the system have a number; the others come from the content of the file.
        system = isinstance(error, OSError) and error.errno is not None
        fix = "free space on its disk, or grant access to it" if system else _FIX_CONTENT
        raise DatasetDataError(
            f"{place} cannot be read or written ({type(error).__name__}: {error}): {fix}",
            path=place,
        ) from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DatasetDataError
        If the file is missing or damaged.
    """
    with wrap_errors(path):
        return json.loads(path.read_text(encoding="utf-8"))


def resolve_inside(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the paths of files that a manifest lists; links followed, they must be in a folder.

    Parameters
    ----------
    folder
        The folder, already resolved.
    names
        Paths relative to the folder.

    Raises
    ------
    DatasetDataError
        If a path is absolute or leads out of the folder, by ``..`` or by a symbolic link.

    Examples
    --------
    >>> [path.as_posix() for path in resolve_inside(Path("/data"), ["cats/1.jpg", "cats/2.jpg"])]
    ['/data/cats/1.jpg', '/data/cats/2.jpg']
    """
    # Resolving takes many system calls, and many files share a few parent folders.
    parents: dict[str, str] = {}
    paths = [_follow(folder, name, parents) for name in names]
    inside = os.path.join(folder, "")
    for name, path in zip(names, paths, strict=True):
        if os.path.isabs(name) or not path.startswith(inside):
            raise DatasetDataError(
                f"the image path '{name}' is absolute or leaves the folder {folder}: "
                "give paths relative to that folder, of files inside it",
                path=folder,
                name=name,
            )
    return [Path(path) for path in paths]


def _follow(folder: Path, name: str, parents: dict[str, str]) -> str:
    """Return the real path of a file; parent folders are looked up once."""
    parent, last = os.path.split(name)
    if parent not in parents:
        parents[parent] = os.path.realpath(folder / parent)
    path = f"{parents[parent]}{os.sep}{last}"
    # A link, or a name such as "..", may still lead elsewhere.
    final = last not in ("", os.curdir, os.pardir) and not os.path.islink(path)
    return path if final else os.path.realpath(path)


def require_files(paths: Sequence[Path], listed_in: object) -> None:
    """Require that all listed images exist.

    Raises
    ------
    DatasetDataError
        With the number of missing files (field ``found``) and the first of them (``path``).
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetDataError(
            f"{len(missing)} of {len(paths)} images listed in {listed_in} are missing, first "
            f"{missing[0]}: {_fix_missing(missing, paths)}",
            path=missing[0],
            found=len(missing),
        )


def _fix_missing(missing: Sequence[Path], listed: Sequence[Path]) -> str:
    if "\\" in missing[0].name:
        return "write / between folders, not \\"
    if len(missing) == len(listed) > 1:
        return "correct the paths, or the folder that they are relative to"
    return "restore the files or remove their rows"


def label_table(labels: LabelMatrix, **extra: Iterable[object] | None) -> pa.Table:
    """Convert a label matrix to an Arrow table: image_id, split, further columns, labels.

    Parameters
    ----------
    labels
        Stored as one fixed-size list of int8 per row; the class list is stored in the schema's
        metadata under ``classes``, as a JSON list.
    **extra
        Further columns; those that are None are left out.
    """
    import pyarrow as pa

    # One fixed-size list per row: far smaller and faster to read than a column per label.
    states = pa.array(labels.states.reshape(-1))
    columns = {
        "image_id": labels.ids.tolist(),
        "split": labels.split.tolist(),
        **{name: list(column) for name, column in extra.items() if column is not None},
        "labels": pa.FixedSizeListArray.from_arrays(states, len(labels.space)),
    }
    return pa.table(columns).replace_schema_metadata({"classes": json.dumps(labels.space.names)})


def preview_labels(labels: LabelMatrix) -> dict[str, Any]:
    """Return ids, splits and labels as a table for Kedro-Viz; ``?`` marks unknown labels."""
    mark = {1: "", -1: "?"}
    rows = [
        [name, split, ", ".join(mark[s] + labels.space.names[i] for i, s in enumerate(row) if s)]
        for name, split, row in zip(
            labels.ids.tolist(), labels.split.tolist(), labels.states.tolist(), strict=True
        )
    ]
    return {
        "index": list(range(len(rows))),
        "columns": ["image_id", "split", "labels"],
        "data": rows,
    }
