"""What a node read or wrote, summarised in a few bytes: the state of its files, and their content.

States are cheap to compare; content is read only where a state has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from mlic.caching.fingerprint import fingerprint_file, fingerprint_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LOCK_NAME", "ContentState", "FileState", "Signature", "scan_files"]

FileState = tuple[str, int, int]  # path, size in bytes, time of change in ns

LOCK_NAME = ".lock"  # of the file that processes lock to write to a folder
MAX_CONTENT_BYTES = 2**30  # reading more would take seconds: larger data are compared by state
MAX_HEADER_BYTES = 10**8  # limit of the safetensors format


def scan_files(path: Path) -> tuple[FileState, ...] | None:
    """State of a file, or of every file in a folder, in order; None where there is nothing."""
    if not path.exists():
        return None
    if path.is_dir():
        return tuple(_walk(str(path), {os.path.realpath(path)}))
    status = path.stat()
    return ((str(path), status.st_size, status.st_mtime_ns),)


def _walk(folder: str, seen: set[str]) -> Iterator[FileState]:
    with os.scandir(folder) as found:
        # Taking a lock changes the time of its file, which is no change of the data.
        entries = sorted((e for e in found if e.name != LOCK_NAME), key=lambda entry: entry.name)
    for entry in entries:
        if not entry.is_dir():
            broken = entry.is_symlink() and not os.path.exists(entry.path)
            status = entry.stat(follow_symlinks=not broken)
            yield entry.path, status.st_size, status.st_mtime_ns
        elif (target := os.path.realpath(entry.path)) not in seen:  # links may form a cycle
            seen.add(target)
            yield from _walk(entry.path, seen)


class Signature(NamedTuple):
    """What is recorded of a `ContentState`; both are None if a file was missing."""

    state: str | None  # fingerprint of sizes and times of change
    content: str | None  # fingerprint of the bytes; None if they were too many to read


@dataclass(frozen=True)
class ContentState:
    """An input or output of a node as it is now."""

    description: str  # what is known without the files: a value, or how the files are read
    files: tuple[FileState, ...] | None = ()  # the files behind it; None if one is missing
    # Paths count as they are seen from this folder: a project may be moved with its data.
    folder: str = "/"

    @property
    def state(self) -> str | None:
        """Fingerprint that changes with any size or time of change."""
        if self.files is None:
            return None
        # The separator appears in no description, so nothing can move from one part to the other.
        named = [(os.path.relpath(path, self.folder), *state) for path, *state in self.files]
        return fingerprint_parts(self.description, "\x1e", repr(named))

    def sign(self) -> Signature:
        """Return state and content; the files are read."""
        if self.files is None:
            return Signature(self.state, None)
        return Signature(self.state, _fingerprint(self.description, self.files, self.folder))

    def matches(self, recorded: Signature) -> bool:
        """Whether this is what was signed; files are read only if their state has changed."""
        if self.files is None or self.state == recorded.state:
            return self.files is not None
        return recorded.content is not None and recorded.content == self.sign().content


@cache  # files that keep their state are read once a process
def _fingerprint(description: str, files: tuple[FileState, ...], folder: str) -> str | None:
    if sum(size for _, size, _ in files) > MAX_CONTENT_BYTES:
        return None
    contents = (f"\x1e{os.path.relpath(path, folder)}\x1f{_content(path)}" for path, _, _ in files)
    return fingerprint_parts(description, *contents)


def _content(path: str) -> str:
    if path.endswith(".safetensors") and os.path.exists(path):
        with open(path, "rb") as file:
            return _sorted_header(file) + hashlib.file_digest(file, "sha256").hexdigest()
    return fingerprint_file(path) or "broken link"


def _sorted_header(file: BinaryIO) -> str:
    """Read the header of a safetensors file, whose writer orders the metadata at random."""
    length = int.from_bytes(file.read(8), "little")
    try:
        return json.dumps(json.loads(file.read(min(length, MAX_HEADER_BYTES))), sort_keys=True)
    except ValueError:  # damaged: then its bytes are its content
        file.seek(0)
        return ""
