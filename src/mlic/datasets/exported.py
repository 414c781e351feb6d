"""Exported models on disk."""

from __future__ import annotations

import json

from mlic.caching.atomic import atomic_write
from mlic.caching.tensors import load_tensors, save_tensors
from mlic.datasets.base import FileDataset, read_json, wrap_errors
from mlic.inference.timm_folder import TimmFolder

__all__ = ["BytesDataset", "TimmFolderDataset"]


class BytesDataset(FileDataset):
    """A file as its bytes, such as an ONNX model; it is replaced in one step.

    Parameters
    ----------
    filepath
        The file.
    metadata
        Metadata for plugins, not used by mlic.
    """

    def load(self) -> bytes:
        """Read the file."""
        with wrap_errors(self._filepath):
            return self._filepath.read_bytes()

    def save(self, data: bytes) -> None:
        """Write the file."""
        with wrap_errors(self._filepath), atomic_write(self._filepath) as partial:
            partial.write_bytes(data)


class TimmFolderDataset(FileDataset):
    """A folder with ``model.safetensors`` and ``config.json``, as timm loads it.

    Parameters
    ----------
    filepath
        The folder.
    metadata
        Metadata for plugins, not used by mlic.
    """

    def load(self) -> TimmFolder:
        """Read weights and configuration."""
        with wrap_errors(self._filepath):
            weights, _ = load_tensors(self._filepath / "model.safetensors")
        return TimmFolder(weights, read_json(self._filepath / "config.json"))

    def save(self, data: TimmFolder) -> None:
        """Write weights and configuration."""
        with wrap_errors(self._filepath):
            save_tensors(self._filepath / "model.safetensors", data.weights, {"format": "pt"})
            with atomic_write(self._filepath / "config.json") as partial:
                text = json.dumps(data.config, indent=1, ensure_ascii=False)
                partial.write_text(text, encoding="utf-8")
