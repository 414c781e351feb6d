"""Word vectors of label names, from GloVe text or from an .npz file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlic.errors import DataError, LabelError, ParameterError
from mlic.utils.reading import explain_content

__all__ = ["read_glove"]

ARRAYS = (("names", "vectors"), ("classes", "glove"))  # accepted array names in .npz files
FILE = "model.embeddings.file"


def read_glove(path: Path, names: Sequence[str], dimension: int) -> NDArray[np.float32]:
    """Look up the word vectors of label names.

    A name gets the vector of its lower-case form. If there is none, it gets the mean of the vectors
    of its words, which are separated by spaces, hyphens, underscores, slashes or commas.

    Parameters
    ----------
    path
        GloVe text [1]_, one line ``word v1 … vd`` for each word; or an ``.npz`` file with names and
        vectors, in arrays called ``names`` and ``vectors``, or ``classes`` and ``glove``.

    Returns
    -------
    numpy.ndarray
        Vectors as in the file, not normalised; shape (len(names), dimension), float32.

    Raises
    ------
    LabelError
        If names have no vector.
    ParameterError
        If the vectors of the file have another length.
    DataError
        If the file is missing or has another format.

    References
    ----------
    .. [1] Pennington et al., "GloVe: global vectors for word representation", EMNLP 2014.
    """
    if not path.is_file():
        raise DataError(f"{FILE}: there is no file {path}; correct the path", path=path)
    wanted = {word for name in names for word in (name.lower(), *_words(name))}
    # only the wanted words are returned: a GloVe file has up to 2 million
    read = _read_arrays if path.suffix == ".npz" else _read_text
    known = read(path, wanted, dimension)
    found = {name: vectors for name in names if (vectors := _lookup(name, known))}
    missing = [name for name in names if name not in found]
    if missing:
        raise LabelError(
            f"{path} has no vectors for {len(missing)} labels ({', '.join(missing)}): rename them "
            "to words of the file, or use an .npz file with a vector for each of them",
            path=path,
            label=missing[0],
        )
    return np.stack([np.mean(found[name], axis=0) for name in names])


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s\-_/,]+", name.lower()) if word]


def _lookup(name: str, known: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Return the vector of the name, or those of all its words, or an empty list."""
    if name.lower() in known:
        return [known[name.lower()]]
    words = _words(name)
    return [known[word] for word in words] if all(word in known for word in words) else []


def _read_arrays(path: Path, wanted: set[str], dimension: int) -> dict[str, NDArray[np.float32]]:
    with (
        explain_content(path, f"{FILE} needs an .npz file without pickled objects"),
        np.load(path, allow_pickle=False) as file,
    ):
        pairs = [(file[a], file[b]) for a, b in ARRAYS if a in file and b in file]
    if not pairs or pairs[0][0].ndim != 1 or pairs[0][1].shape[:-1] != pairs[0][0].shape:
        raise DataError(
            f"{FILE}: {path} lacks the array 'names' with n names or the array 'vectors' with n "
            "rows; write both into it",
            path=path,
        )
    names, vectors = pairs[0]
    _require_dimension(path, vectors.shape[-1], dimension)
    rows = zip((str(name).lower() for name in names), vectors.astype(np.float32), strict=True)
    return {name: row for name, row in rows if name in wanted}


def _read_text(path: Path, wanted: set[str], dimension: int) -> dict[str, NDArray[np.float32]]:
    """Read the wanted words; only their lines are parsed, because a file may have millions."""
    with (
        explain_content(path, f"{FILE} needs GloVe text, of words and numbers, or an .npz file"),
        # newline="\n": a carriage return inside a line must not end it
        path.open(encoding="utf-8", newline="\n") as file,
    ):
        _require_dimension(path, len(file.readline().split(" ")) - 1, dimension)
        file.seek(0)
        # GloVe 840B has entries of several words, such as "at name@domain.com": their lines
        # have too many columns and are skipped
        return {
            word: np.array(numbers, dtype=np.float32)
            for word, _, rest in (line.partition(" ") for line in file)
            if word in wanted and len(numbers := rest.split()) == dimension
        }


def _require_dimension(path: Path, found: int, dimension: int) -> None:
    if found != dimension:
        raise ParameterError(
            f"model.embeddings.dimension={dimension}, but the vectors of {path} have length "
            f"{found}; set it to {found}, or use another file",
            path=path,
            parameter="model.embeddings.dimension",
            value=dimension,
            expected=found,
        )
