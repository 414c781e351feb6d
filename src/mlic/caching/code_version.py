"""Which code a node may run: the modules that a text names, and those that these name in turn."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["code_version"]

_ROOT = Path(__file__).parents[2]  # what the package lies in
# They may catch what names nothing; a leading \b would make the search twenty times as slow.
_DOTTED = re.compile(r"mlic(?:\.\w+)+")
_FROM_ROOT = re.compile(r"from mlic import \(?([\w\s,]+)")


def code_version(text: str) -> str:
    """Sixteen hex digits over all of mlic's modules that a text may lead to.

    Every dotted name counts, in imports as in strings, and one that stands for a package leads to
    all of it: plug-ins are found by name. Libraries are not looked at.

    Parameters
    ----------
    text
        Such as a function's module and the classes of the data it is given.

    Examples
    --------
    >>> code_version("mlic.errors") == code_version("numpy and mlic.errors.MlicError")
    True
    >>> code_version("mlic.labels") == code_version("mlic.evaluation.metrics")
    False
    """
    return _version(frozenset(_named(text)))


@cache
def _version(named: frozenset[Path]) -> str:
    digests = sorted(map(_digest, _reached(named)))
    return hashlib.blake2b("\n".join(digests).encode(), digest_size=8).hexdigest()


def _reached(named: frozenset[Path]) -> set[Path]:
    found, new = set[Path](), set(named)
    while new:
        found |= new
        new = set[Path]().union(*map(_neighbours, new)) - found
    return found


def _named(text: str) -> Iterator[Path]:
    """Files of the modules that a text names, and of the packages that hold them."""
    bare = " ".join(_FROM_ROOT.findall(text))
    for name in {*_DOTTED.findall(text), *(f"mlic.{word}" for word in re.findall(r"\w+", bare))}:
        yield from _files(tuple(name.split(".")))


@cache
def _files(parts: tuple[str, ...]) -> tuple[Path, ...]:
    place = _ROOT.joinpath(*parts)
    if place.with_suffix(".py").is_file():
        return place.with_suffix(".py"), *_holders(place.parent), *_below(place.parent, code=False)
    if place.is_dir() and len(parts) > 1:
        return *_below(place, code=True), *_below(place, code=False), *_holders(place.parent)
    return _files(parts[:-1]) if len(parts) > 1 else ()  # a class or function of a module


@cache
def _below(package: Path, code: bool) -> tuple[Path, ...]:
    """A package's modules, or its other files, such as templates; those of mlic itself are none."""
    if package.parent == _ROOT:
        return ()
    files = [path for path in package.rglob("*") if path.is_file()]
    return tuple(path for path in files if path.suffix != ".pyc" and (path.suffix == ".py") is code)


@cache
def _holders(package: Path) -> tuple[Path, ...]:
    """Code of a package itself, and of those that hold it: imported on the way to a module."""
    if package == _ROOT:
        return ()
    own = package / "__init__.py"
    return (*((own,) if own.is_file() else ()), *_holders(package.parent))


@cache
def _neighbours(path: Path) -> frozenset[Path]:
    if path.suffix != ".py":
        return frozenset()
    return frozenset(_named(path.read_text(encoding="utf-8")))


@cache
def _digest(path: Path) -> str:
    content = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    return f"{path.relative_to(_ROOT)} {content}"
