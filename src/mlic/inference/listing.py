"""Images to predict, from a folder, a list or records; read twice and never held as a whole."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlic.caching.fingerprint import fingerprint_parts
from mlic.errors import DataError
from mlic.images.records import ImageRecords
from mlic.utils.reading import explain_content

__all__ = ["SUFFIXES", "ImageList", "list_images"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
COLUMNS = ("path", "image")  # of a list, in the order of preference

Named = Iterator[tuple[str, bytes | Path]]


@dataclass(frozen=True)
class ImageList:
    """Images with their names, in an order that stays the same.

    Parameters
    ----------
    place
        Where the images come from, for messages.
    read
        Gives names and sources anew at every call.
    """

    place: str
    read: Callable[[], Named]

    def scan(self) -> tuple[int, str]:
        """Count the images, and fingerprint their names and the state of their files.

        Raises
        ------
        DataError
            If there is no image.
        """
        digest, count = hashlib.sha256(), 0
        for name, source in self.read():
            digest.update(f"\x1e{name}\x1f{_state(source)}".encode())
            count += 1
        if not count:
            raise DataError(
                f"{self.place} has no image: give a folder of files with the endings "
                f"{', '.join(SUFFIXES)}, or a list with a column 'path'",
                path=self.place,
            )
        return count, digest.hexdigest()[:16]


def list_images(source: str | Path | ImageRecords) -> ImageList:
    """List the images of a folder and all folders in it, of a table of paths, or of records.

    Parameters
    ----------
    source
        A folder; a CSV or Parquet file with a column ``path`` (or ``image``), whose relative paths
        start at the file's folder; or images that a data set gave.

    Raises
    ------
    DataError
        If the folder or file does not exist, or the table has no such column.
    """
    if isinstance(source, ImageRecords):
        ids = source.labels.ids
        return ImageList("the data set", lambda: zip(ids.tolist(), source.sources, strict=True))
    place = Path(source)
    if place.is_dir():
        return ImageList(str(place), lambda: _walk(place))
    if not place.is_file():
        raise DataError(
            f"{place} does not exist: give images=… a folder, a CSV or Parquet list, or the name "
            "of a catalog entry",
            path=place,
        )
    next(_cells(place), None)  # a missing column is an error now, not after the model is loaded
    return ImageList(
        str(place), lambda: ((cell, place.parent / cell) for cell in _cells(place) if cell)
    )


def _cells(place: Path) -> Iterator[str]:
    read = _parquet_cells if place.suffix.lower() in (".parquet", ".pq") else _csv_cells
    with explain_content(place, "give a CSV file in UTF-8 or a Parquet file"):
        yield from read(place)


def _walk(folder: Path) -> Named:
    """Give the image files of a folder in order of their names, then those of its folders."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_file() and entry.name.lower().endswith(SUFFIXES):
            # A name on disk may be any bytes; in tables it is text.
            yield os.fsencode(entry.path).decode("utf-8", "backslashreplace"), Path(entry.path)
    for entry in entries:
        # Links to folders may form a circle.
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))


def _csv_cells(place: Path) -> Iterator[str]:
    with place.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = [name.strip().lower() for name in next(rows, [])]
        column = header.index(_column(place, header))
        yield from (row[column].strip() for row in rows if len(row) > column)


def _parquet_cells(place: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(place)
    name = _column(place, file.schema_arrow.names)
    for batch in file.iter_batches(columns=[name]):
        yield from map(str, batch.column(0).to_pylist())


def _column(place: Path, names: list[str]) -> str:
    for name in COLUMNS:
        if name in names:
            return name
    raise DataError(
        f"{place} has no column 'path', only {', '.join(names) or 'none'}: name the column with "
        "the paths of the images 'path'",
        path=place,
        found=names,
    )


def _state(source: bytes | Path) -> str:
    """Size and time of change of a file, or a fingerprint of bytes."""
    if isinstance(source, bytes):
        return fingerprint_parts(source)
    try:
        status = source.stat()
    except OSError:
        return "missing"  # it is quarantined when it is read
    return f"{status.st_size}\x1f{status.st_mtime_ns}"
