"""Images listed in a table: one row per image, labels in any of four common forms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlic.caching.atomic import atomic_write
from mlic.datasets.base import (
    DatasetDataError,
    FileDataset,
    label_table,
    preview_labels,
    require_files,
    resolve_inside,
    wrap_errors,
)
from mlic.datasets.manifest.csv import read_csv
from mlic.datasets.manifest.labels import Manifest, free_space
from mlic.datasets.manifest.parquet import read_parquet
from mlic.images.records import ImageRecords
from mlic.labels import LabelMatrix, LabelSpace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_datasets._typing import TablePreview
    from numpy.typing import NDArray

__all__ = ["ManifestDataset"]


class ManifestDataset(FileDataset):
    r"""A CSV or Parquet manifest of labelled images.

    Its columns are ``image_id`` (by default the path, else the row number); ``path`` or ``image``
    (encoded bytes); ``labels`` as a list of names, a list of 1/0/−1, or a delimited string of names
    in which ``?dog`` means unknown; or, without ``labels``, one column per class with 1, 0, −1 or
    nothing (unknown). ``split`` (train, validation, test) and ``group`` are optional; ``source``,
    ``width`` and ``height`` are not read.

    Without a class list, free names are sorted and columns keep the file's order. If there is a
    column ``labels``, further columns are ignored.

    Parameters
    ----------
    filepath
        The manifest; ``.csv`` or ``.parquet``.
    folder
        Folder that paths are relative to and must not leave; by default that of the manifest.
    test_filepath
        A second manifest, whose rows form the test split.
    label_delimiter
        Delimiter between the labels of a string.
    classes
        The class list, or the path of a text file with one name per line.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "images.csv")
    >>> _ = file.write_text("path,labels\na.jpg,cat;?dog\n")
    >>> _ = file.with_name("a.jpg").write_bytes(b"not decoded yet")
    >>> raw = ManifestDataset(str(file)).load()
    >>> raw.labels.space.names, raw.labels.states.tolist()
    (('cat', 'dog'), [[1, -1]])
    """

    def __init__(
        self,
        filepath: str,
        *,
        folder: str | None = None,
        test_filepath: str | None = None,
        label_delimiter: str = ";",
        classes: list[str] | str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath, metadata)
        self._folder = Path(folder) if folder is not None else self._filepath.parent
        self._test_filepath = Path(test_filepath) if test_filepath is not None else None
        if not isinstance(label_delimiter, str) or not label_delimiter:
            raise DatasetDataError(
                f"label_delimiter is {label_delimiter!r}: write a mark in quotation marks",
                parameter="label_delimiter",
                value=label_delimiter,
            )
        self._label_delimiter = label_delimiter
        self._classes = classes
        if isinstance(classes, list):
            _require_texts(classes)

    def _describe(self) -> dict[str, Any]:
        folders = {"folder": self._folder, "test_filepath": self._test_filepath}
        return {"filepath": self._filepath, **folders}

    def _exists(self) -> bool:
        return all(path.is_file() for path in self._files)

    @property
    def _files(self) -> list[Path]:
        return [path for path in (self._filepath, self._test_filepath) if path is not None]

    def load(self) -> ImageRecords:
        """Read the manifest without decoding images.

        A manifest that contradicts itself, its class list or its test manifest, or lists images
        that are missing or outside the folder, raises `DatasetDataError`.
        """
        manifests = [self._read(path) for path in self._files]
        with wrap_errors(self._filepath):
            labels = self._labels(manifests)
            sources = [source for each in manifests for source in self._sources(each)]
            return ImageRecords(labels, sources, _join_groups(manifests))

    def _read(self, path: Path, nrows: int | None = None, images: bool = True) -> Manifest:
        with wrap_errors(path):
            metadata: dict[str, str] = {}
            if path.suffix.lower() == ".csv":
                frame = read_csv(path, nrows)
            elif path.suffix.lower() == ".parquet":
                frame, metadata = read_parquet(path, nrows, images)
            else:
                raise DatasetDataError(
                    f"{path} is neither .csv nor .parquet: convert it", path=path
                )
            if not len(frame):
                raise DatasetDataError(
                    f"{path} lists no image: give one row for each image", path=path
                )
            return Manifest(path, frame, metadata, self._label_delimiter)

    def _labels(self, manifests: Sequence[Manifest]) -> LabelMatrix:
        space = self._space(manifests)
        splits = [manifest.split for manifest in manifests]
        # The test manifest is the test split, whatever it declares itself.
        if len(manifests) == 2:
            splits = [splits[0], _all_test(*manifests)]
        return LabelMatrix(
            space,
            np.concatenate([manifest.ids for manifest in manifests]),
            np.concatenate([manifest.states(space) for manifest in manifests]),
            np.concatenate(splits),
        )

    def _space(self, manifests: Sequence[Manifest]) -> LabelSpace:
        """Return the common class list: the dataset's, the files', or all names that occur."""
        given = self._given_space()
        spaces = {} if given is None else {"the dataset's 'classes'": given}
        for manifest in manifests:
            stated = manifest.stated_space()
            # A given class list joins named labels by name; only positions must be in its order.
            if stated is not None and not (given is not None and manifest.names_labels):
                spaces[str(manifest.file)] = stated
        if not spaces:
            return free_space(manifests)
        first, space = next(iter(spaces.items()))
        for place, other in spaces.items():
            space.require_same(other, first, place)
        return space

    def _given_space(self) -> LabelSpace | None:
        if not isinstance(self._classes, str):
            return LabelSpace(tuple(self._classes)) if self._classes is not None else None
        with wrap_errors(self._classes):
            lines = Path(self._classes).read_text(encoding="utf-8").splitlines()
        return LabelSpace(tuple(line.strip() for line in lines if line.strip()))

    def _sources(self, manifest: Manifest) -> list[bytes | Path]:
        frame = manifest.frame
        if "image" in frame:
            return [_encoded(image, manifest) for image in frame["image"]]
        folder = self._folder.resolve()
        paths = resolve_inside(folder, [str(name) for name in frame["path"]])
        require_files(paths, manifest.file)
        return [*paths]

    def save(self, data: ImageRecords) -> None:
        """Write a Parquet manifest that `load` reads back; images are all bytes or all files."""
        import pyarrow.parquet as pq

        if self._filepath.suffix.lower() != ".parquet" or self._test_filepath is not None:
            raise DatasetDataError(
                f"{self._filepath}: a manifest is saved to one .parquet file", path=self._filepath
            )
        with wrap_errors(self._filepath):
            groups = None if data.groups is None else data.groups.tolist()
            table = label_table(data.labels, group=groups, **self._columns(data))
            with atomic_write(self._filepath) as partial:
                pq.write_table(table, partial)

    def _columns(self, data: ImageRecords) -> dict[str, list[Any]]:
        # The file must be readable elsewhere, so paths are relative to the folder, never absolute.
        if all(isinstance(source, bytes) for source in data.sources):
            return {"image": list(data.sources)}
        folder = self._folder.resolve()
        paths = [Path(s).resolve() for s in data.sources if not isinstance(s, bytes)]
        if len(paths) != len(data) or not all(path.is_relative_to(folder) for path in paths):
            raise DatasetDataError(
                f"{self._filepath}: the images are neither all bytes nor all files in {folder}: "
                "set the dataset's 'folder' to the one that contains them",
                path=self._filepath,
            )
        return {"path": [path.relative_to(folder).as_posix() for path in paths]}

    def load_labels(self) -> LabelMatrix:
        """Read and check ids, labels and splits as `load` does, without looking at images."""
        # Encoded images may be gigabytes, which an estimate of cost must not read.
        manifests = [self._read(path, images=False) for path in self._files]
        with wrap_errors(self._filepath):
            return self._labels(manifests)

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return ids, splits and labels of the first rows, for Kedro-Viz."""
        manifest = self._read(self._filepath, nrows, images=False)
        with wrap_errors(self._filepath):
            return preview_labels(self._labels([manifest]))


def _require_texts(classes: Sequence[object]) -> None:
    """Refuse names that YAML takes for something else."""
    for name in classes:
        if not isinstance(name, str):
            raise DatasetDataError(
                f"classes contains {name!r}, which is no text: YAML reads words such as yes, no, "
                "on, 007 and 2024-01-01 as other values; write each name in quotation marks",
                parameter="classes",
                value=name,
            )


def _encoded(image: object, manifest: Manifest) -> bytes:
    """Return the bytes of a cell; an empty one becomes an unreadable image, for the quarantine."""
    # Text here is probably a path or base64; guessing which would hide the mistake.
    if image is not None and not isinstance(image, bytes):
        raise DatasetDataError(
            f"{manifest.file}: column 'image' contains {type(image).__name__}, not the bytes of "
            "image files: write the bytes, or use a column 'path'",
            path=manifest.file,
            found=type(image).__name__,
        )
    return image or b""


def _all_test(manifest: Manifest, test: Manifest) -> NDArray[np.str_]:
    """Return the splits of a test manifest."""
    if (manifest.split == "test").any():
        raise DatasetDataError(
            f"{manifest.file} has rows in split 'test' and there is a test manifest {test.file}: "
            "use one of the two",
            path=manifest.file,
        )
    return np.full(len(test.ids), "test")


def _join_groups(manifests: Sequence[Manifest]) -> NDArray[np.str_] | None:
    """Concatenate groups; without a column of them, each image forms a group alone."""
    if all(manifest.groups is None for manifest in manifests):
        return None
    return np.concatenate(
        [np.char.add("only ", m.ids) if m.groups is None else m.groups for m in manifests]
    )
