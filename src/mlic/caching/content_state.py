"""What was given to a node or came out of it, in a few bytes: its state, and its content."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ContentState", "FileState", "Signature", "look_at"]

FileState = tuple[str, int, int]  # path, size, time of change in ns

_LARGEST = 2**30  # bytes; of what is larger only the state is compared
_LARGEST_HEADER = 10**8  # bytes, says the format


def look_at(path: Path) -> tuple[FileState, ...] | None:
    """State of a file, or of every file in a folder, in order; None where there is nothing."""
    if not path.exists():
        return None
    if path.is_dir():
        return tuple(_walk(str(path), {os.path.realpath(path)}))
    status = path.stat()
    return ((str(path), status.st_size, status.st_mtime_ns),)


def _walk(folder: str, seen: set[str]) -> Iterator[FileState]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if not entry.is_dir():
            broken = entry.is_symlink() and not os.path.exists(entry.path)
            status = entry.stat(follow_symlinks=not broken)
            yield entry.path, status.st_size, status.st_mtime_ns
        elif (place := os.path.realpath(entry.path)) not in seen:  # links may lead in circles
            seen.add(place)
            yield from _walk(entry.path, seen)


@dataclass(frozen=True)
class Signature:
    """What is remembered of a `ContentState`.

    Parameters
    ----------
    state
        Over sizes and times of change. None where a file is missing.
    content
        Over the bytes. None where they are missing, or too many to read.
    """

    state: str | None
    content: str | None


@dataclass(frozen=True)
class ContentState:
    """Something that a node's results depend on, or one of them, as it lies now.

    Parameters
    ----------
    about
        What is known without the disk: a value, or how files are to be read.
    files
        The files behind it; None if one is missing.

    Examples
    --------
    >>> ContentState("seed 0").state == ContentState("seed 0").state != ContentState("seed 1").state
    True
    """

    about: str
    files: tuple[FileState, ...] | None = ()

    @property
    def state(self) -> str | None:
        """Sixteen hex digits that change with any size or time of change."""
        return None if self.files is None else _digest(self.about, repr(self.files))

    def sign(self) -> Signature:
        """State and content; the files are read."""
        content = None if self.files is None else _content(self.about, self.files)
        return Signature(self.state, content)

    def is_what(self, kept: Signature) -> bool:
        """Whether this is what was signed; the files are read only if their state has changed."""
        if self.files is None or self.state == kept.state:
            return self.files is not None
        return kept.content is not None and kept.content == self.sign().content


@cache
def _content(about: str, files: tuple[FileState, ...]) -> str | None:
    """Digest of the bytes; what has one state in this process is read once."""
    if sum(size for _, size, _ in files) > _LARGEST:
        return None
    return _digest(about, *(f"{path}\x1f{_read(path)}" for path, _, _ in files))


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            header = _in_order(file) if path.endswith(".safetensors") else ""
            return header + hashlib.file_digest(file, "blake2b").hexdigest()
    except FileNotFoundError:
        return "a link to nowhere"


def _in_order(file: BinaryIO) -> str:
    """Header of a safetensors file, whose writer puts the metadata in an order left to chance."""
    length = int.from_bytes(file.read(8), "little")
    try:
        return json.dumps(json.loads(file.read(min(length, _LARGEST_HEADER))), sort_keys=True)
    except ValueError:  # damaged: its bytes are its content
        file.seek(0)
        return ""


def _digest(*parts: str) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(f"{part}\x1e".encode())
    return digest.hexdigest()
