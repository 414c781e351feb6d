"""Word vectors of label names, read from a file."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError, LabelError, ParameterError

__all__ = ["read_glove"]

ARRAYS = (("names", "vectors"), ("classes", "glove"))  # how .npz files call names and vectors


def read_glove(path: Path, names: Sequence[str], dimension: int) -> NDArray[np.float32]:
    """Word vectors of label names.

    A name has the vector of its lower-case form, or else the mean of the vectors of its words,
    which spaces, hyphens, underscores, slashes and commas part.

    Parameters
    ----------
    path
        Text as GloVe gives it out, ``word v1 … vd`` a line, or an ``.npz`` file of names and
        their vectors, called ``names`` and ``vectors``, or ``classes`` and ``glove``.
    names
        Label names.
    dimension
        Numbers a vector.

    Returns
    -------
    numpy.ndarray
        As in the file, not normalised; shape (len(names), dimension), float32.

    Raises
    ------
    LabelError
        Listing every name without a vector.
    ParameterError
        If the file's vectors are of another dimension.
    DataError
        If the file is missing or of another form.

    References
    ----------
    .. [1] Pennington et al., "GloVe: global vectors for word representation", EMNLP 2014.
    """
    if not path.is_file():
        raise DataError(f"model.embeddings.file: there is no file {path}; correct the path")
    wanted = {word for name in names for word in (name.lower(), *_words(name))}
    read = _read_arrays if path.suffix == ".npz" else _read_text
    known = read(path, wanted.__contains__, dimension)
    found = {name: vectors for name in names if (vectors := _lookup(name, known))}
    lost = [name for name in names if name not in found]
    if lost:
        raise LabelError(
            f"{path} has no vector of {len(lost)} labels ({', '.join(lost)}): rename them to words "
            "that it has, or give an .npz file with a row for each of them"
        )
    return np.stack([np.mean(found[name], axis=0) for name in names])


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s\-_/,]+", name.lower()) if word]


def _lookup(name: str, known: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """The vector of the name, or those of all its words, or nothing."""
    if name.lower() in known:
        return [known[name.lower()]]
    words = _words(name)
    return [known[word] for word in words] if all(word in known for word in words) else []


def _read_arrays(
    path: Path, wanted: Callable[[str], bool], dimension: int
) -> dict[str, NDArray[np.float32]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            pairs = [(file[a], file[b]) for a, b in ARRAYS if a in file and b in file]
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"model.embeddings.file: {path} is no .npz file ({error})") from error
    if not pairs or pairs[0][0].ndim != 1 or pairs[0][1].shape[:-1] != pairs[0][0].shape:
        raise DataError(
            f"model.embeddings.file: {path} lacks the arrays 'names', of n names, and 'vectors', "
            "of n rows: write both into it"
        )
    names, vectors = pairs[0]
    _require_dimension(path, vectors.shape[-1], dimension)
    rows = zip((str(name).lower() for name in names), vectors.astype(np.float32), strict=True)
    return {name: row for name, row in rows if wanted(name)}


def _read_text(
    path: Path, wanted: Callable[[str], bool], dimension: int
) -> dict[str, NDArray[np.float32]]:
    """Only the wanted lines are taken apart: the file may hold millions."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            _require_dimension(path, len(file.readline().split(" ")) - 1, dimension)
            file.seek(0)
            return dict(_wanted_lines(file, wanted, dimension))
    except ValueError as error:  # also what no UTF-8 is
        raise DataError(
            f"model.embeddings.file: {path} is no text of words and their numbers ({error})"
        ) from error


def _wanted_lines(
    lines: Iterable[str], wanted: Callable[[str], bool], dimension: int
) -> Iterable[tuple[str, NDArray[np.float32]]]:
    for line in lines:
        word, _, rest = line.partition(" ")
        if wanted(word):
            numbers = rest.split()
            if len(numbers) == dimension:  # else an entry of several words, as GloVe 840B has some
                yield word, np.array(numbers, dtype=np.float32)


def _require_dimension(path: Path, found: int, asked: int) -> None:
    if found != asked:
        raise ParameterError(
            f"model.embeddings.dimension={asked}, but the vectors of {path} have {found} numbers; "
            f"set it to {found}, or give another file"
        )
