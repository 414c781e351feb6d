"""Shared by mlic's Kedro datasets: error messages, checks of paths, tables of labels."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from mlic.errors import DataError, MlicError
from mlic.utils.memory import is_out_of_memory
from mlic.utils.names import look_alike
from mlic.utils.reading import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from mlic.labels import LabelMatrix

__all__ = [
    "DatasetDataError",
    "FileDataset",
    "label_table",
    "preview_labels",
    "read_json",
    "require_files",
    "resolve_inside",
    "wrap_errors",
]


class DatasetDataError(DataError, DatasetError):
    """A mistake in data; Kedro does not wrap it, because it is Kedro's own error too."""


class FileDataset(AbstractDataset[Any, Any]):
    """Base class of datasets that are one file or folder, read only unless they define `save`.

    Parameters
    ----------
    filepath
        The file or folder.
    metadata
        Metadata for plugins such as Kedro-Viz, not used by mlic.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}

    def _exists(self) -> bool:
        return self._filepath.exists()

    def save(self, data: Any) -> None:
        """Refuse to write: always raises `DatasetDataError`."""
        # Data sets of others, and files that users write, must not be overwritten by a pipeline.
        raise DatasetDataError(
            f"{self._filepath} is read only, so it cannot be the output of a node",
            path=self._filepath,
        )


@contextmanager
def wrap_errors(place: Path | str) -> Iterator[None]:
    """Turn errors of the block into one `DatasetDataError` that names a file or folder.

    Kedro would wrap any other error of a dataset in a longer one and hide the message in it. The
    field ``path`` names the place, unless the error has such a field already.
    """
    try:
        yield
    # Libraries raise errors of any kind for content that they do not expect.
    except Exception as error:
        raise _as_data_error(place, error) from error


def _as_data_error(place: Path | str, error: BaseException) -> DatasetDataError:
    if isinstance(error, MlicError):
        text = str(error)
        message = text if str(place) in text else f"{place}: {text}"
        return DatasetDataError(message, **{"path": place} | error.fields)
    # Kedro's own datasets put a long text in front of the message: the cause is enough.
    if isinstance(error, DatasetError) and error.__cause__:
        return _as_data_error(place, error.__cause__)
    if isinstance(error, FileNotFoundError):
        missing = Path(error.filename or place)
        return DatasetDataError(
            f"{missing} does not exist: correct the path, or run the pipelines that create it "
            "(kedro run creates everything)",
            path=missing,
        )
    reason = f"{type(error).__name__}: {one_line(error)}"
    return DatasetDataError(
        f"{place} cannot be read or written ({reason}): {_advice(error)}", path=place
    )


def _advice(error: BaseException) -> str:
    if is_out_of_memory(error):
        return "end other programs, or raise the memory limit of this one"
    # Errors of the system have a number; the others come from the content of the file.
    if not isinstance(error, OSError) or error.errno is None:
        return "correct or restore it; kedro run makes its own files again once they are moved away"
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENOTDIR):
        return "correct the path"
    return "free space on its disk, or grant access to it"


def read_json(path: Path, shape: Any = None) -> Any:
    """Read a JSON file; a missing or damaged one raises `DatasetDataError`.

    So does one whose content has not the shape that a type describes, such as ``dict[str, int]``.
    """
    with wrap_errors(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if shape is None else _require_shape(path, content, shape)


def _require_shape(path: Path, content: Any, shape: Any) -> Any:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(shape).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        more = f" ({error.error_count()} mistakes in all)" if error.error_count() > 1 else ""
        raise DatasetDataError(
            f"{path}: {place}: {first['msg']}, not {str(first['input'])[:80]!r}{more}: correct the "
            "file, or get it again",
            path=path,
            name=place,
        ) from error


def resolve_inside(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the paths of listed files; links followed, they must be in a folder.

    Parameters
    ----------
    folder
        The folder, already resolved.
    names
        Paths relative to the folder. One that is absolute or leads out of the folder, by ``..`` or
        by a symbolic link, raises `DatasetDataError`: a manifest may come from anyone.
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

    The error's fields are the number of missing files (``found``) and the first of them (``path``).
    """
    missing = [path for path in paths if not _is_file(path)]
    if missing:
        raise DatasetDataError(
            f"{len(missing)} of {len(paths)} images listed in {listed_in} are missing, first "
            f"{missing[0]}: {_fix_missing(missing, paths)}",
            path=missing[0],
            found=len(missing),
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long: then there is no such file
        return False


def _fix_missing(missing: Sequence[Path], listed: Sequence[Path]) -> str:
    with contextlib.suppress(OSError):
        for name in os.listdir(missing[0].parent):
            if look_alike(name) == look_alike(missing[0].name):
                return f"there is {name!a}, which looks the same as {missing[0].name!a}; rename it"
    if "\\" in missing[0].name:
        return "write / between folders, not \\"
    if len(missing) == len(listed) > 1:
        return "correct the paths, or the folder that they are relative to"
    return "restore the files or remove their rows"


def label_table(labels: LabelMatrix, **extra: Iterable[object] | None) -> pa.Table:
    """Convert a label matrix to an Arrow table: image_id, split, further columns, labels.

    Labels are one fixed-size list of int8 per row; the class list is in the schema's metadata under
    ``classes``, as a JSON list. Further columns that are None are left out.
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
    columns = ["image_id", "split", "labels"]
    return {"index": list(range(len(rows))), "columns": columns, "data": rows}
