"""Image-level labels of MS-COCO, from its instance annotations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
from typing_extensions import TypedDict  # pydantic cannot check typing's before Python 3.12

from mlic.datasets.base import (
    DatasetDataError,
    FileDataset,
    read_json,
    require_files,
    resolve_inside,
    wrap_errors,
)
from mlic.images.records import ImageRecords
from mlic.labels import PRESENT, LabelMatrix, LabelSpace

__all__ = ["CocoDataset"]

# The labels of COCO's test images are not public, so the literature tests on val.
SPLITS = {"train": "train", "val": "test"}


class _Category(TypedDict):
    id: int
    name: str


class _Image(TypedDict):
    id: int | str
    file_name: str


class _Annotation(TypedDict):
    id: NotRequired[int | str]
    image_id: int | str
    category_id: int


class _Instances(TypedDict):
    """What is read of ``instances_<name><year>.json``."""

    categories: list[_Category]
    images: list[_Image]
    annotations: list[_Annotation]


class CocoDataset(FileDataset):
    """One year of MS-COCO as a multi-label data set.

    A label is present in an image that has any annotation of that category, crowds included.
    Labels are in the order of category ids, including categories without images. Images without
    annotations are kept, with every label absent. COCO's ``val`` is the test split, as in the
    literature; validation images are split off training later. Image ids are
    ``<train|val>/<image id>``.

    Parameters
    ----------
    folder
        The folder with ``annotations/instances_{train,val}<year>.json`` and the images in
        ``{train,val}<year>/``.
    year
        The year, such as 2014; not needed if there is only one.

    References
    ----------
    Lin et al., "Microsoft COCO: common objects in context", ECCV 2014.
    """

    def __init__(
        self, folder: str, year: int | str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(folder, metadata)
        self._folder, self._year = self._filepath, None if year is None else str(year)

    def _describe(self) -> dict[str, Any]:
        return {"folder": self._folder, "year": self._year}

    def _exists(self) -> bool:
        return any(self._folder.glob(f"annotations/instances_train{self._year or '*'}.json"))

    def load(self) -> ImageRecords:
        """Read ids, labels and splits without decoding images.

        Annotations that are missing, damaged or contradictory, and missing images, raise
        `DatasetDataError`.
        """
        with wrap_errors(self._folder):
            year = self._year or self._find_year()
            files = {name: self._annotations(name, year) for name in SPLITS}
            # Without annotations of val, test images are split off training later.
            names = [name for name, file in files.items() if name == "train" or file.is_file()]
            parts = [self._load_part(files[name], name, year) for name in names]
            first = parts[0][0]
            # Label columns are stacked by position: both files must list the same categories.
            for name, (labels, _) in zip(names, parts, strict=True):
                first.space.require_same(labels.space, str(files["train"]), str(files[name]))
            return ImageRecords(
                LabelMatrix(
                    first.space,
                    np.concatenate([labels.ids for labels, _ in parts]),
                    np.concatenate([labels.states for labels, _ in parts]),
                    np.concatenate([labels.split for labels, _ in parts]),
                ),
                [path for _, paths in parts for path in paths],
            )

    def _annotations(self, name: str, year: str) -> Path:
        return self._folder / "annotations" / f"instances_{name}{year}.json"

    def _find_year(self) -> str:
        files = self._folder.glob("annotations/instances_train*.json")
        years = sorted(match[1] for f in files if (match := re.search(r"train(\d+)$", f.stem)))
        if len(years) != 1:
            raise DatasetDataError(
                f"{self._folder}/annotations contains instances_train<year>.json for "
                f"{', '.join(years) or 'no year'}: "
                + ("choose one with 'year'" if years else "unpack COCO's annotations there"),
                found=years,
            )
        return years[0]

    def _load_part(self, file: Path, name: str, year: str) -> tuple[LabelMatrix, list[Path]]:
        with wrap_errors(file):
            labels, file_names = read_instances(file, name)
            folder = (self._folder / f"{name}{year}").resolve()
            paths = resolve_inside(folder, file_names)
            require_files(paths, file)
            return labels, paths


def read_instances(file: Path, name: str) -> tuple[LabelMatrix, list[str]]:
    """Read image-level labels and file names from ``instances_<name><year>.json``.

    A damaged file, or an annotation of an unknown image or category, raises `DatasetDataError`.
    """
    content = read_json(file, _Instances)
    with wrap_errors(file):
        # Ids have gaps (80 categories up to id 90); their order is the order of columns.
        categories = sorted(content["categories"], key=lambda category: category["id"])
        images = content["images"]
        columns = {category["id"]: column for column, category in enumerate(categories)}
        rows = {image["id"]: row for row, image in enumerate(images)}
        states = np.zeros((len(images), len(categories)), dtype=np.int8)
        for annotation in content["annotations"]:
            image, category = annotation["image_id"], annotation["category_id"]
            if image not in rows or category not in columns:
                raise _unknown_id(file, annotation, "category" if image in rows else "image")
            # Several objects of a category, and crowds, are one present label.
            states[rows[image], columns[category]] = PRESENT
        labels = LabelMatrix(
            LabelSpace(tuple(category["name"] for category in categories)),
            np.asarray([f"{name}/{image['id']}" for image in images], dtype=np.str_),
            states,
            np.full(len(images), SPLITS[name]),
        )
        return labels, [str(image["file_name"]) for image in images]


def _unknown_id(file: Path, annotation: dict[str, Any], kind: str) -> DatasetDataError:
    """Return the error for an annotation of an image or category that the file does not list."""
    number, value = annotation.get("id", "without an id"), annotation[f"{kind}_id"]
    return DatasetDataError(
        f"{file}: annotation {number} has the {kind} id {value}, which is not among the file's "
        f"{'categories' if kind == 'category' else 'images'}: add it there, or remove the "
        "annotation",
        name=number,
        value=value,
    )
