"""The words of MS-COCO's captions as labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

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

__all__ = ["CocoCaptionsDataset"]

SPLITS = {"train": "train", "val": "test"}
WORD = re.compile(r"[a-z]+")
# fmt: off
STOP_WORDS = frozenset((
    "a", "about", "above", "across", "after", "against", "all", "along", "also", "an", "and",
    "another", "any", "are", "around", "as", "at", "away", "back", "be", "behind", "being",
    "below", "beside", "between", "both", "but", "by", "can", "down", "each", "for", "from",
    "front", "get", "has", "have", "he", "her", "his", "in", "inside", "into", "is", "it", "its",
    "itself", "many", "more", "near", "next", "no", "not", "of", "off", "on", "one", "onto", "or",
    "other", "out", "outside", "over", "past", "s", "several", "she", "some", "that", "the",
    "their", "them", "there", "these", "they", "this", "through", "to", "together", "toward",
    "towards", "two", "under", "up", "very", "was", "well", "were", "what", "where", "which",
    "while", "who", "with", "without",
))
# fmt: on


class _Image(TypedDict):
    id: int | str
    file_name: str


class _Caption(TypedDict):
    image_id: int | str
    caption: str


class _Captions(TypedDict):
    """What is read of ``captions_<name><year>.json``."""

    images: list[_Image]
    annotations: list[_Caption]


class CocoCaptionsDataset(FileDataset):
    """Words of MS-COCO's captions: a label is present if any caption of the image has the word.

    The vocabulary is made of the most frequent words of the training captions, without words that
    say nothing about an image. A plural counts as its singular. The target has been used with 1,000
    words (COCO-1000 in C-Tran, CVPR 2021), with other rules for words, so that figures on it can be
    compared within mlic only. Absence of a word does not mean absence of the thing.

    Parameters
    ----------
    folder
        The folder with ``annotations/captions_{train,val}<year>.json`` and the images in
        ``{train,val}<year>/``.
    year
        The year.
    num_labels
        Number of words.
    """

    def __init__(
        self,
        folder: str,
        year: int | str = 2014,
        num_labels: int = 1000,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(folder, metadata)
        self._folder, self._year, self._num_labels = self._filepath, str(year), num_labels

    def _describe(self) -> dict[str, Any]:
        return {"folder": self._folder, "year": self._year, "num_labels": self._num_labels}

    def load(self) -> ImageRecords:
        """Read ids, labels and splits without decoding images.

        Captions that are missing or damaged, and missing images, raise `DatasetDataError`.
        """
        with wrap_errors(self._folder):
            parts = {name: self._read_part(name) for name in SPLITS}
            singular = _singulars(word for words, _ in parts["train"].values() for word in words)
            frequent = Counter(
                word
                for words, _ in parts["train"].values()
                for word in {singular[word] for word in words}
            )
            if len(frequent) < self._num_labels:
                raise DatasetDataError(
                    f"{self._folder}: the training captions have {len(frequent)} words, fewer than "
                    f"{self._num_labels}: lower num_labels",
                    path=self._folder,
                    found=len(frequent),
                )
            # Of equally frequent words the first of the alphabet, so that the choice is fixed.
            ranked = sorted(frequent, key=lambda word: (-frequent[word], word))
            space = LabelSpace(tuple(ranked[: self._num_labels]))
            return self._join(parts, singular, space)

    def _join(
        self,
        parts: Mapping[str, Mapping[str, tuple[list[str], str]]],
        singular: Mapping[str, str],
        space: LabelSpace,
    ) -> ImageRecords:
        columns = {word: column for column, word in enumerate(space.names)}
        ids, split, paths, rows = list[str](), list[str](), list[Path](), list[list[int]]()
        for name, images in parts.items():
            folder = (self._folder / f"{name}{self._year}").resolve()
            paths += resolve_inside(folder, [file for _, file in images.values()])
            ids += [f"{name}/{number}" for number in images]
            split += [SPLITS[name]] * len(images)
            for words, _ in images.values():
                present = {singular.get(word, word) for word in words}
                rows.append([columns[word] for word in present if word in columns])
        states = np.zeros((len(ids), len(space)), np.int8)
        for row, found in enumerate(rows):
            states[row, found] = PRESENT
        require_files(paths, self._folder / "annotations")
        labels = LabelMatrix(space, np.asarray(ids, dtype=np.str_), states, np.asarray(split))
        return ImageRecords(labels, paths)

    def _read_part(self, name: str) -> dict[str, tuple[list[str], str]]:
        """Words of all captions, and the file name, by image number."""
        file = self._folder / "annotations" / f"captions_{name}{self._year}.json"
        content = read_json(file, _Captions)
        with wrap_errors(file):
            images: dict[str, tuple[list[str], str]] = {
                str(image["id"]): ([], str(image["file_name"])) for image in content["images"]
            }
            for annotation in content["annotations"]:
                number = str(annotation["image_id"])
                if number not in images:
                    raise DatasetDataError(
                        f"{file}: a caption belongs to the image {number}, which is not in the "
                        "file: add it there, or remove the caption",
                        path=file,
                        name=number,
                    )
                images[number][0].extend(_words(str(annotation["caption"])))
        return images


def _words(caption: str) -> list[str]:
    return [word for word in WORD.findall(caption.lower()) if word not in STOP_WORDS]


def _singulars(words: Iterable[str]) -> dict[str, str]:
    """Singular of every word: without "s", "es" or with "y" for "ies", if that word occurs too.

    Examples
    --------
    >>> found = _singulars(["dog", "dogs", "bus", "buses", "baby", "babies", "grass"])
    >>> [found[word] for word in ("dogs", "buses", "babies", "grass", "bus")]
    ['dog', 'bus', 'baby', 'grass', 'bus']
    """
    known = set(words)
    found = {}
    for word in known:
        forms = [f"{word[:-3]}y"] * word.endswith("ies")
        forms += [word[:-2]] * word.endswith("es") + [word[:-1]] * word.endswith("s")
        found[word] = next((form for form in forms if form in known and len(form) > 2), word)
    return found
