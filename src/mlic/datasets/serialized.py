"""Objects of mlic's classes on disk: arrays as safetensors, the rest as JSON, never as pickles.

A class converts its objects to plain arrays or values and back, and checks them when they are
read. The dotted path of the class is stored in the file.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_datasets.json import JSONDataset

from mlic.caching.atomic import atomic_write
from mlic.caching.tensors import load_tensors, save_tensors
from mlic.datasets.base import DatasetDataError, FileDataset, wrap_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kedro_datasets._typing import JSONPreview

__all__ = ["JSONObjectDataset", "ObjectDataset", "SafetensorsDataset", "preview_description"]

SHORT = 400  # characters of an entry that a preview shows
SHOWN_ARRAYS = 10


class ObjectDataset(FileDataset):
    """Base class of datasets of one object of a known class.

    Objects of another class are refused with a `DatasetDataError` when they are saved, and files of
    another class, missing files and damaged files when they are loaded.

    Parameters
    ----------
    filepath
        The file.
    cls
        Dotted path of the class; without it, the object is a dict.
    metadata
        Metadata for plugins, not used by mlic.
    """

    def __init__(
        self, filepath: str, cls: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath, metadata)
        self._cls = cls

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "cls": self._cls}

    def _load_class(self) -> Any:
        """Import the class that ``cls`` names."""
        assert self._cls is not None
        module, _, name = self._cls.rpartition(".")
        # Only the catalog names classes, never a file: a file cannot make mlic import anything.
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
        if not isinstance(data, self._load_class() if self._cls else dict):
            raise self._wrong_class(type(data).__name__, "correct 'cls' in the catalog")

    def _require_class(self, found: str | None) -> None:
        """Refuse to load a file that was saved from another class."""
        if found != self._cls:
            fix = "correct 'cls' in the catalog, or run the node that creates the file"
            raise self._wrong_class(found, fix)

    def _wrong_class(self, found: str | None, fix: str) -> DatasetDataError:
        return DatasetDataError(
            f"{self._filepath} is for objects of {self._cls or 'dict'}, not {found or 'dict'}: "
            f"{fix}",
            path=self._filepath,
            expected=self._cls,
            found=found,
        )


class SafetensorsDataset(ObjectDataset):
    """An object that consists of arrays, as a safetensors file.

    The class has ``to_tensors() -> (dict of ndarray, dict of str)`` and a class method
    ``from_tensors(tensors, metadata)``; without a class, the object is a dict of arrays.
    """

    def load(self) -> Any:
        """Read the object."""
        with wrap_errors(self._filepath):
            tensors, about = load_tensors(self._filepath)
            self._require_class(about.pop("cls", None))
            return self._load_class().from_tensors(tensors, about) if self._cls else tensors

    def save(self, data: Any) -> None:
        """Write the object."""
        self._require_instance(data)
        with wrap_errors(self._filepath):
            tensors, about = data.to_tensors() if self._cls else (data, {})
            # Checked when the file is read, so that it cannot be taken for another class.
            about = about | ({"cls": self._cls} if self._cls else {})
            save_tensors(self._filepath, tensors, about)

    def preview(self) -> JSONPreview:
        """Return the short entries of the description, and its arrays' shapes, for Kedro-Viz."""
        from safetensors import safe_open

        with wrap_errors(self._filepath), safe_open(self._filepath, framework="numpy") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            about = {key: text for key, text in (file.metadata() or {}).items() if key != "digest"}
            return preview_description(about, shapes)


def preview_description(
    metadata: Mapping[str, str], shapes: Mapping[str, Sequence[int]]
) -> JSONPreview:
    """Describe an object in JSON: entries of its metadata that are short, and its arrays."""
    about: dict[str, Any] = {}
    for name, text in metadata.items():
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        about |= value if isinstance(value, dict) else {name: value}
    short = {name: value for name, value in about.items() if len(str(value)) <= SHORT}
    first = {name: list(shape) for name, shape in list(shapes.items())[:SHOWN_ARRAYS]}
    preview: Any = json.dumps({**short, "number of arrays": len(shapes), "arrays": first}, indent=1)
    return preview  # type: ignore[no-any-return]


class JSONObjectDataset(ObjectDataset):
    """An object that consists of plain values, as a JSON file that Kedro's `JSONDataset` writes.

    The class has ``to_dict()`` and a class method ``from_dict(content)``; without a class, the
    object is a dict.
    """

    def load(self) -> Any:
        """Read the object."""
        with wrap_errors(self._filepath):
            content = _json_file(self._filepath).load()
            if not isinstance(content, dict):
                raise ValueError("the file contains no JSON object")
            self._require_class(content.pop("cls", None))
            return self._load_class().from_dict(content) if self._cls else content

    def save(self, data: Any) -> None:
        """Write the object.

        A value that JSON does not have, such as NaN, is refused; then the earlier file remains.
        """
        self._require_instance(data)
        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            content = {"cls": self._cls, **data.to_dict()} if self._cls else data
            _json_file(partial).save(content)

    def preview(self) -> JSONPreview:
        """Return the content of the file, for Kedro-Viz."""
        return _json_file(self._filepath).preview()


def _json_file(path: Path) -> JSONDataset:
    """Return Kedro's dataset for a file of strict JSON in UTF-8, on any system."""
    encoding = {"encoding": "utf-8"}
    return JSONDataset(
        filepath=path.as_posix(),
        # NaN is not JSON: other programs could not read the file.
        save_args={"indent": 1, "allow_nan": False, "ensure_ascii": False},
        fs_args={"open_args_load": encoding, "open_args_save": {"mode": "w", **encoding}},
    )
