"""What mlic's Kedro datasets share: one error, whole files, paths that stay in their folder."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import DatasetError

from mlic.errors import DataError, MlicError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from mlic.labels import LabelMatrix

__all__ = [
    "DatasetDataError",
    "atomic_write",
    "label_table",
    "preview_labels",
    "read_json",
    "require_files",
    "resolve_inside",
    "wrap_errors",
]


class DatasetDataError(DataError, DatasetError):
    """A mistake in data that Kedro passes on as it is, because it is Kedro's own error too."""


@contextmanager
def wrap_errors(place: object) -> Iterator[None]:
    """Turn what goes wrong inside into one `DatasetDataError` that names the place.

    Kedro wraps every foreign error of a dataset in a longer one, which would bury the message.

    Parameters
    ----------
    place
        File or folder, put in front of a message that does not name it already.
    """
    try:
        yield
    except MlicError as error:
        text = str(error)
        raise DatasetDataError(text if str(place) in text else f"{place}: {text}") from error
    except DatasetError:
        raise
    except FileNotFoundError as error:
        missing = error.filename or place
        raise DatasetDataError(
            f"{missing} does not exist: correct the path, or run the pipelines that make it "
            "(kedro run makes everything)"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        system = isinstance(error, OSError) and error.errno is not None
        mend = "make room on its disk, or give access to it"
        raise DatasetDataError(
            f"{place} cannot be read or written ({type(error).__name__}: {error}): "
            f"{mend if system else 'correct the file, or delete it and make it again'}"
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Name of a temporary neighbour that replaces the file once it is written without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises
    ------
    DatasetDataError
        If it is absent or damaged.
    """
    with wrap_errors(path):
        return json.loads(path.read_text(encoding="utf-8"))


def resolve_inside(folder: Path, names: Sequence[str]) -> list[Path]:
    """Paths of files that a manifest names, which must lie in a folder once links are followed.

    Parameters
    ----------
    folder
        The folder, resolved already.
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
    parents: dict[str, str] = {}  # the folders of many files are few, and each costs many calls
    paths = [_follow(folder, name, parents) for name in names]
    inside = os.path.join(folder, "")
    for name, path in zip(names, paths, strict=True):
        if os.path.isabs(name) or not path.startswith(inside):
            raise DatasetDataError(
                f"the image path '{name}' is absolute or leaves the folder {folder}: "
                "give paths relative to that folder, to files inside it"
            )
    return [Path(path) for path in paths]


def _follow(folder: Path, name: str, parents: dict[str, str]) -> str:
    way, last = os.path.split(name)
    if way not in parents:
        parents[way] = os.path.realpath(folder / way)
    path = f"{parents[way]}{os.sep}{last}"
    whole = last not in ("", os.curdir, os.pardir) and not os.path.islink(path)
    return path if whole else os.path.realpath(path)


def require_files(paths: Sequence[Path], listed_in: object) -> None:
    """Refuse a list of images of which some do not exist.

    Raises
    ------
    DatasetDataError
        With the number of missing files and the first of them.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetDataError(
            f"{len(missing)} of {len(paths)} images listed in {listed_in} are missing, first "
            f"{missing[0]}: {_mend_missing(missing, paths)}"
        )


def _mend_missing(missing: Sequence[Path], listed: Sequence[Path]) -> str:
    if "\\" in missing[0].name:
        return "write / between folders, not \\"
    if len(missing) == len(listed) > 1:
        return "correct the paths, or the folder that they start at"
    return "restore the files or take their rows out"


def label_table(labels: LabelMatrix, **extra: Iterable[object] | None) -> pa.Table:
    """Arrow table of a label matrix: image_id, split, further columns, labels.

    Parameters
    ----------
    labels
        Becomes one fixed-size list of int8 a row; the class list stands in the schema's
        metadata under ``classes``, as a JSON list.
    **extra
        Further columns; those that are None are left out.
    """
    import pyarrow as pa

    states = pa.array(labels.states.reshape(-1))
    columns = {
        "image_id": labels.ids.tolist(),
        "split": labels.split.tolist(),
        **{name: list(column) for name, column in extra.items() if column is not None},
        "labels": pa.FixedSizeListArray.from_arrays(states, len(labels.space)),
    }
    return pa.table(columns).replace_schema_metadata({"classes": json.dumps(labels.space.names)})


def preview_labels(labels: LabelMatrix) -> dict[str, Any]:
    """Ids, splits and names of labels as the table that Kedro-Viz shows; ``?`` marks unknown."""
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
