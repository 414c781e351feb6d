"""Objects of mlic's classes on disk: arrays as safetensors, the rest as JSON, never as pickles.

A class converts its objects to plain arrays or values and back, and checks them when they are
read. The dotted path of the class is stored in the file.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets.json import JSONDataset

from mlic.caching.atomic import atomic_write
from mlic.datasets.base import DatasetDataError, wrap_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kedro_datasets._typing import JSONPreview

__all__ = ["JSONObjectDataset", "SafetensorsDataset"]


class _ObjectDataset(AbstractDataset[Any, Any]):
    """One file with one object of a known class."""

    def __init__(
        self, filepath: str, cls: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = Path(filepath)
        self._cls = cls
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "cls": self._cls}

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _load_class(self) -> Any:
        """Import the class that ``cls`` names."""
        assert self._cls is not None
        module, _, name = self._cls.rpartition(".")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise DatasetDataError(
                f"{self._filepath}: there is no class '{self._cls}' ({error}): correct 'cls' "
                "in the catalog",
                path=self._filepath,
                value=self._cls,
            ) from error

    def _require_instance(self, data: object) -> None:
        """Refuse to save an object of another class."""
        expected = self._load_class() if self._cls else dict
        if not isinstance(data, expected):
            raise DatasetDataError(
                f"{self._filepath} is for objects of {self._cls or 'dict'}, not "
                f"{type(data).__name__}: correct 'cls' in the catalog",
                path=self._filepath,
                expected=self._cls,
                found=type(data).__name__,
            )

    def _require_class(self, found: str | None) -> None:
        """Refuse to load a file that was saved from another class."""
        if found != self._cls:
            raise DatasetDataError(
                f"{self._filepath} contains {found or 'a plain dict'}, not "
                f"{self._cls or 'a plain dict'}: correct the catalog, or run the node that creates "
                "the file",
                path=self._filepath,
                expected=self._cls,
                found=found,
            )


class SafetensorsDataset(_ObjectDataset):
    """An object that consists of arrays, as a safetensors file.

    Parameters
    ----------
    filepath
        The ``.safetensors`` file.
    cls
        Dotted path of a class with ``to_tensors() -> (dict of ndarray, dict of str)`` and a class
        method ``from_tensors(tensors, metadata)``; without it, the object is a dict of arrays.
    metadata
        Metadata for plugins, not used by mlic.

    Examples
    --------
    >>> import tempfile
    >>> dataset = SafetensorsDataset(f"{tempfile.mkdtemp()}/logits.safetensors")
    >>> dataset.save({"logits": np.eye(2, dtype=np.float32)})
    >>> dataset.load()["logits"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def load(self) -> Any:
        """Read the object.

        Raises
        ------
        DatasetDataError
            If the file is missing, damaged or from another class.
        """
        tensors, about = self._read()
        self._require_class(about.pop("cls", None))
        if self._cls is None:
            return tensors
        with wrap_errors(self._filepath):
            return self._load_class().from_tensors(tensors, about)

    def _read(self) -> tuple[dict[str, Any], dict[str, str]]:
        from safetensors import SafetensorError, safe_open

        with wrap_errors(self._filepath):
            try:
                with safe_open(self._filepath, framework="numpy") as file:
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                    return tensors, dict(file.metadata() or {})
            except SafetensorError as error:
                raise ValueError(str(error)) from error

    def save(self, data: Any) -> None:
        """Write the object.

        Raises
        ------
        DatasetDataError
            If it is not an instance of the class ``cls``.
        """
        from safetensors.numpy import save_file

        self._require_instance(data)
        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            tensors, about = data.to_tensors() if self._cls else (data, {})
            # The writer copies raw buffers, so strided views must become contiguous first.
            contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
            # Checked when the file is read, so that it cannot be taken for another class.
            about = about | ({"cls": self._cls} if self._cls else {})
            save_file(contiguous, partial, metadata=about or None)


class JSONObjectDataset(_ObjectDataset):
    """An object that consists of plain values, as a readable JSON file.

    Kedro's `JSONDataset` reads and writes the file.

    Parameters
    ----------
    filepath
        The ``.json`` file.
    cls
        Dotted path of a class with ``to_dict()`` and a class method ``from_dict(content)``;
        without it, the object is a dict.
    metadata
        Metadata for plugins, not used by mlic.

    Examples
    --------
    >>> import tempfile
    >>> dataset = JSONObjectDataset(f"{tempfile.mkdtemp()}/quality.json")
    >>> dataset.save({"ncut": 0.5})
    >>> dataset.load()
    {'ncut': 0.5}
    """

    def load(self) -> Any:
        """Read the object.

        Raises
        ------
        DatasetDataError
            If the file is missing, damaged or from another class.
        """
        content = self._read()
        if not isinstance(content, dict):
            raise DatasetDataError(
                f"{self._filepath} contains no JSON object: run the node that creates it",
                path=self._filepath,
            )
        self._require_class(content.pop("cls", None))
        if self._cls is None:
            return content
        with wrap_errors(self._filepath):
            return self._load_class().from_dict(content)

    def save(self, data: Any) -> None:
        """Write the object.

        Raises
        ------
        DatasetDataError
            If it is not an instance of the class ``cls``, or contains a value that JSON does not
            have, such as NaN. The earlier file then remains.
        """
        self._require_instance(data)
        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            content = {"cls": self._cls, **data.to_dict()} if self._cls else data
            with _unwrapped_errors():
                _json_file(partial).save(content)

    def preview(self) -> JSONPreview:
        """Return the content of the file, for Kedro-Viz."""
        return _json_file(self._filepath).preview()

    def _read(self) -> Any:
        with wrap_errors(self._filepath), _unwrapped_errors():
            return _json_file(self._filepath).load()


def _json_file(path: Path) -> JSONDataset:
    """Return Kedro's dataset for a file of strict JSON in UTF-8, on any system."""
    encoding = {"encoding": "utf-8"}
    return JSONDataset(
        filepath=path.as_posix(),
        # NaN is not JSON: other programs could not read the file.
        save_args={"indent": 1, "allow_nan": False, "ensure_ascii": False},
        fs_args={"open_args_load": encoding, "open_args_save": {"mode": "w", **encoding}},
    )


@contextmanager
def _unwrapped_errors() -> Iterator[None]:
    """Raise what went wrong, without the error in which Kedro's datasets wrap it."""
    try:
        yield
    except DatasetError as error:
        # Kedro puts a long text in front of the message; the cause is enough.
        raise error.__cause__ or error from None
