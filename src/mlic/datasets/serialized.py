"""Science objects on disk: arrays as safetensors, the rest as JSON; nothing is unpickled.

An object of the class ``cls`` says itself what it consists of, and is checked when it is
made again. The class's dotted path travels in the file.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kedro.io import AbstractDataset

from mlic.datasets.base import DatasetDataError, atomic_write, read_json, wrap_errors

if TYPE_CHECKING:
    from kedro_datasets._typing import JSONPreview

__all__ = ["JSONObjectDataset", "SafetensorsDataset"]


class _ScienceDataset(AbstractDataset[Any, Any]):
    """One file that holds one object of a known class."""

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
        assert self._cls is not None
        module, _, name = self._cls.rpartition(".")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise DatasetDataError(
                f"{self._filepath}: there is no class '{self._cls}' ({error}): correct 'cls' "
                "in the catalog"
            ) from error

    def _require_instance(self, data: object) -> None:
        held = self._load_class() if self._cls else dict
        if not isinstance(data, held):
            raise DatasetDataError(
                f"{self._filepath} is to hold {self._cls or 'a dict'}, not "
                f"{type(data).__name__}: correct 'cls' in the catalog"
            )

    def _require_class(self, found: str | None) -> None:
        if found != self._cls:
            raise DatasetDataError(
                f"{self._filepath} holds {found or 'a plain dict'}, not "
                f"{self._cls or 'a plain dict'}: correct the catalog, or delete the file and run "
                "the node that makes it again"
            )


class SafetensorsDataset(_ScienceDataset):
    """An object made of arrays, as safetensors.

    Parameters
    ----------
    filepath
        The ``.safetensors`` file.
    cls
        Dotted path of a class with ``to_tensors() -> (dict of ndarray, dict of str)`` and a class
        method ``from_tensors(tensors, metadata)``; without it a plain dict of arrays is held.
    metadata
        For plugins; not used here.

    Examples
    --------
    >>> import tempfile
    >>> dataset = SafetensorsDataset(f"{tempfile.mkdtemp()}/logits.safetensors")
    >>> dataset.save({"logits": np.eye(2, dtype=np.float32)})
    >>> dataset.load()["logits"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def load(self) -> Any:
        """Read the object; the file is memory-mapped while it is read.

        Raises
        ------
        DatasetDataError
            If the file is damaged or holds an object of another class.
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
            # The writer takes each buffer as it lies, so strided views must be made whole first.
            whole = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
            about = about | ({"cls": self._cls} if self._cls else {})
            save_file(whole, partial, metadata=about or None)


class JSONObjectDataset(_ScienceDataset):
    """An object made of plain values, as JSON that a person can read.

    Parameters
    ----------
    filepath
        The ``.json`` file.
    cls
        Dotted path of a class with ``to_dict()`` and a class method ``from_dict(content)``;
        without it a plain dict is held.
    metadata
        For plugins; not used here.

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
            If the file is damaged or holds an object of another class.
        """
        content = read_json(self._filepath)
        if not isinstance(content, dict):
            raise DatasetDataError(f"{self._filepath} holds no JSON object: make it again")
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
            If it is not an instance of the class ``cls``, or has a value JSON does not know,
            NaN included.
        """
        self._require_instance(data)
        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            content = {"cls": self._cls, **data.to_dict()} if self._cls else data
            text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
            partial.write_text(text + "\n", encoding="utf-8")

    def preview(self) -> JSONPreview:
        """Content of the file, for Kedro-Viz."""
        return json.dumps(read_json(self._filepath))
