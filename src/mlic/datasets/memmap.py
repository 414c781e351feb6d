"""Kedro datasets for what is too large for the memory: memory-mapped objects, and folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.datasets.base import FileDataset, wrap_errors
from mlic.datasets.serialized import ObjectDataset, preview_description

if TYPE_CHECKING:
    from kedro_datasets._typing import ImagePreview, JSONPreview

__all__ = ["DirectoryDataset", "ImageStoreDataset", "MemmapDataset"]


class MemmapDataset(ObjectDataset):
    """An object with one large array, memory-mapped when it is loaded.

    ``filepath`` is the folder of the array and its description; ``cls`` is the dotted path of a
    `mlic.caching.memmap.MemmapObject`. An object of another class is refused. An object that lies
    on disk already is not copied: `save` links its files.
    """

    # Here the class is required: a dict could not be mapped.
    def __init__(self, filepath: str, cls: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath, cls, metadata)

    def _exists(self) -> bool:
        return bool(self._load_class().exists(self._filepath))

    def load(self) -> Any:
        """Map the object to memory; its array is not read yet."""
        with wrap_errors(self._filepath):
            return self._load_class().open(self._filepath)

    def preview(self) -> JSONPreview:
        """Return the shape of the array and the short entries of its description."""
        data = self.load()
        about = {name: json.dumps(value) for name, value in data.describe().items()}
        return preview_description(about, {data.kind: data.array.shape})

    def save(self, data: Any) -> None:
        """Write the object, or link the files in which it lies."""
        self._require_instance(data)
        with wrap_errors(self._filepath):
            data.save(self._filepath)


class ImageStoreDataset(MemmapDataset):
    """A store of images of any kind: `MemmapDataset` of the class `ImageStore`."""

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath, "mlic.images.store.ImageStore", metadata)

    def preview(self, number: int = 36) -> ImagePreview:
        """Return the first images side by side, for Kedro-Viz."""
        import numpy as np
        from PIL import Image

        from mlic.images.thumbnails import encode_image

        pixels = self.load().read(slice(number))
        columns = int(np.ceil(np.sqrt(max(len(pixels), 1))))
        side, rows = pixels.shape[1], -(-len(pixels) // columns)
        sheet = Image.new("RGB", (columns * side, rows * side), "white")
        for place, image in enumerate(pixels):
            row, column = divmod(place, columns)
            sheet.paste(Image.fromarray(image), (column * side, row * side))
        encoded: Any = encode_image(sheet).partition(",")[2]
        return encoded  # type: ignore[no-any-return]


class DirectoryDataset(FileDataset):
    """The path of a folder that a node fills itself, because its content is too large for memory.

    The folder is made when the dataset is loaded. It is an input of the node that fills it.
    """

    def load(self) -> Path:
        """Make the folder if it is absent and return its path."""
        with wrap_errors(self._filepath):
            self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath
