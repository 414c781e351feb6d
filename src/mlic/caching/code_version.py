"""Version of the code that a result depends on: what all modules mean that can be reached.

The modules that a module reaches are those it imports and those its strings name, because plug-ins
and classes of the catalog are found by name. Of a module ``nodes`` only the named function counts,
with what it uses of the module. Other files, such as templates, are reached where their package is
named. Libraries are not followed, nor are imports for type checkers: they name classes of data that
a node is given, which its entries of the catalog name too.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlic.caching.atomic import atomic_write
from mlic.caching.fingerprint import fingerprint_file, fingerprint_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SourceTree", "code_version", "source_tree", "training_code_version"]

_DOTTED = re.compile(r"mlic(?:\.\w+)+")  # a leading \b would make the search 20 times slower
_DECIDES_WEIGHTS = (
    "mlic.training",
    "mlic.models",
    "mlic.losses",
    "mlic.images.augmentation",
    "mlic.images.pixel_ops",
    "mlic.images.preprocess",
)
# Finished weights are used by these: without them and what only they reach, trainings stay valid.
_AFTER_TRAINING = frozenset(
    {
        *(f"training/{name}.py" for name in ("calibration", "calibrated_output", "refiner")),
        "losses/_link.py",
    }
)
# These report, compare and find results but decide none; what files look like counts (tensors,
# memmap).
_BOOKKEEPING = ("atomic", "code_version", "content_state", "fingerprint", "store")
_NO_RESULTS = {
    "errors.py",
    *(f"utils/{name}.py" for name in ("git", "logging", "progress", "signals", "suggestions")),
    *(f"caching/{name}.py" for name in _BOOKKEEPING),
}


def code_version(*texts: str) -> str:
    """Fingerprint of all modules of mlic that some texts name, and of those that these reach.

    The texts are dotted names, or contain some, as the catalog's entries do. The name of a package
    leads to all of its modules. Comments, docstrings and layout do not count.

    Examples
    --------
    >>> code_version("mlic.labels.space") == code_version("numpy and mlic.labels.space.LabelSpace")
    True
    >>> code_version("mlic.labels") == code_version("mlic.evaluation.metrics")
    False
    """
    return source_tree().version(*texts)


def training_code_version() -> str:
    """Fingerprint of the code that decides the weights of a training."""
    return source_tree().version(*_DECIDES_WEIGHTS, without=_AFTER_TRAINING)


@cache
def source_tree(memo: Path | None = None) -> SourceTree:
    """Return the modules of the running package; one object a process and memo."""
    return SourceTree(Path(__file__).parents[1], memo)


class _Source(NamedTuple):
    """What is remembered of one file, or of one function in it."""

    size: int
    mtime_ns: int
    meaning: str  # fingerprint
    names: list[str]  # dotted names that it imports, or that stand in its strings


class SourceTree:
    """All files of a package called ``mlic``, each read once.

    Parameters
    ----------
    root
        Folder of the package.
    memo
        JSON file that remembers what files mean while their sizes and times of change stay the
        same. Parsing all of them takes about half a second, as long as a run with nothing to do
        may take. Without it they are remembered in memory only.
    """

    def __init__(self, root: Path, memo: Path | None = None) -> None:
        self._root, self._memo = root, memo
        self._known = _read_memo(memo)
        self._is_changed = False
        # Names relative to the root, as text: arithmetic on paths would take most of the time.
        found = (path for path in root.rglob("*") if path.suffix != ".pyc" and path.is_file())
        self._names = frozenset(path.relative_to(root).as_posix() for path in found)
        self._folders = {folder for name in self._names for folder in _folders_of(name)}
        # Caches of this object, not of its class, so that they end with it.
        self._source = cache(self._read_source)
        self._resolve = cache(self._find_files)
        self._version = cache(self._compute_version)

    def version(self, *texts: str, without: frozenset[str] = frozenset()) -> str:
        """Fingerprint of what some texts lead to; see `code_version`.

        The files in `without` do not count, nor does what only they lead to.
        """
        return self._version(frozenset(_DOTTED.findall(" ".join(texts))), without)

    def _compute_version(self, names: frozenset[str], without: frozenset[str]) -> str:
        reached = sorted(self._reach(names, without))
        lines = [f"{file} {self._source(file).meaning}\n" for file in reached]
        if self._memo is not None and self._is_changed:
            with atomic_write(self._memo) as partial:
                partial.write_text(json.dumps(self._known), encoding="utf-8")
            self._is_changed = False
        return fingerprint_parts(*lines)

    def reached(self, *texts: str, without: frozenset[str] = frozenset()) -> set[str]:
        """Files that some texts lead to, relative to the package; ``file:name`` is a function."""
        return self._reach(_DOTTED.findall(" ".join(texts)), without)

    def _reach(self, names: Iterable[str], without: frozenset[str]) -> set[str]:
        seen, new, files = set[str](), set(names), set[str]()
        while new:
            seen |= new
            found = {file for name in new for file in self._resolve(name)} - files - without
            files |= found
            found -= {"caching/code_version.py"}  # its strings name what only trainings depend on
            new = {name for file in found for name in self._source(file).names} - seen
        return files - _NO_RESULTS

    def _find_files(self, name: str) -> frozenset[str]:
        """Files behind a dotted name: those of a module, or of all modules of a package."""
        package, words = "", name.split(".")[1:]
        for word, inner in zip(words, [*words[1:], ""], strict=True):
            if f"{package}{word}.py" in self._names:
                if word == "nodes" and inner:  # its package only wires the nodes
                    return frozenset({f"{package}nodes.py:{inner}"})
                return self._with_packages(f"{package}{word}.py")
            if f"{package}{word}/" not in self._folders:  # a class or function of the package
                initial = f"{package}__init__.py"
                # Where its __init__ imports the name, that leads to the one module that defines it.
                imports = self._source(initial).names if initial in self._names else ()
                if package and any(imported.endswith(f".{word}") for imported in imports):
                    return self._with_packages(initial)
                break
            package += f"{word}/"
        if not package:  # no module at all: the root's packages are named one by one
            return frozenset()
        files = (file for file in self._names if file.startswith(package))
        return frozenset[str]().union(*map(self._with_packages, files))

    def _with_packages(self, file: str) -> frozenset[str]:
        """Return a file and the ``__init__`` of its packages."""
        # The root's __init__ offers everything by name, which does not mean that all is used.
        initials = {f"{folder}__init__.py" for folder in _folders_of(file) if folder}
        return frozenset({file} | (initials & self._names))

    def _read_source(self, name: str) -> _Source:
        file, _, function = name.partition(":")
        path, key = self._root / file, str(self._root / name)
        status = path.stat()
        known = self._known.get(key)
        if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
            known = _Source(status.st_size, status.st_mtime_ns, *_parse(path, function))
            self._known[key] = known
            self._is_changed = True
        return known


def _folders_of(name: str) -> list[str]:
    """Folders of a file from the outside to the inside; the root is the empty text."""
    words = name.split("/")[:-1]
    return ["".join(f"{word}/" for word in words[:depth]) for depth in range(len(words) + 1)]


def _read_memo(memo: Path | None) -> dict[str, _Source]:
    try:
        content = json.loads(memo.read_text(encoding="utf-8")) if memo else {}
        return {path: _Source(*source) for path, source in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # absent, or of another version
        return {}


def _parse(path: Path, function: str) -> tuple[str, list[str]]:
    """Return the fingerprint of what a file or function means, and the dotted names it uses."""
    if path.suffix != ".py":
        return str(fingerprint_file(path)), []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        match getattr(node, "body", None):
            case [ast.Expr(value=ast.Constant(value=str())), *_] as body:  # a docstring
                del body[0]
        # An __init__ that imports lazily shows only type checkers where its names come from.
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) if path.name != "__init__.py":
                node.body.clear()
    tree.body = _needed_by(function, tree.body)
    names = {name for node in ast.walk(tree) for name in _names_in(node)}
    return fingerprint_parts(ast.dump(tree)), sorted(names)


def _needed_by(function: str, module: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of a module that one of its functions needs; all for another name."""
    if not any(function in _defined_by(statement) for statement in module):
        return module
    used, size = {function}, 0
    while len(used) > size:  # until no statement uses another name
        size = len(used)
        # Statements that define nothing may have side effects, so they count always.
        needed = [one for one in module if not _defined_by(one) or used & _defined_by(one)]
        used |= {n.id for one in needed for n in ast.walk(one) if isinstance(n, ast.Name)}
    return needed


def _defined_by(statement: ast.stmt) -> set[str]:
    """Return the names that an import, a definition or an assignment adds to its module."""
    match statement:
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {(alias.asname or alias.name).partition(".")[0] for alias in names}
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def _names_in(node: ast.AST) -> list[str]:
    match node:
        case ast.ImportFrom(module=str(module)):
            names = [f"{module}.{alias.name}" for alias in node.names]
        case ast.Import():
            names = [alias.name for alias in node.names]
        case ast.Constant(value=str(text)):
            return _DOTTED.findall(text)
        case _:
            return []
    return [name for name in names if name.startswith("mlic.")]
