"""Version of the code that a result depends on: what all modules mean that can be reached.

The modules that a module reaches are those it imports and those its strings name, because plug-ins
and classes of the catalog are found by name. Libraries are not followed, nor are imports for type
checkers: they name classes of data that a node is given, which its entries of the catalog name too.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from mlic.caching.atomic import atomic_write
from mlic.caching.fingerprint import fingerprint_file, fingerprint_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

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
# These report what happens but decide no result; the package's own __init__ only lists names.
_NO_RESULTS = frozenset(
    {"__init__.py", "errors.py"}
    | {f"utils/{name}.py" for name in ("git", "logging", "progress", "signals", "suggestions")}
)


def code_version(*texts: str) -> str:
    """Fingerprint of all modules of mlic that some texts name, and of those that these reach.

    Comments, docstrings and layout do not count.

    Parameters
    ----------
    *texts
        Dotted names, or texts that contain some, such as an entry of the catalog. A name that
        stands for a package leads to all of its modules.

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
    return code_version(*_DECIDES_WEIGHTS)


@cache
def source_tree(memo: Path | None = None) -> SourceTree:
    """Return the modules of the running package; one object a process and memo."""
    return SourceTree(Path(__file__).parents[1], memo)


class _Source(NamedTuple):
    """What is remembered of one file."""

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
        # Caches of this object, not of its class, so that they end with it.
        self._source = cache(self._read_source)
        self._resolve = cache(self._find_files)
        self._list = cache(self._list_files)
        self._version = cache(self._compute_version)

    def version(self, *texts: str) -> str:
        """Fingerprint of what some texts lead to; see `code_version`."""
        return self._version(frozenset(_DOTTED.findall(" ".join(texts))))

    def _compute_version(self, names: frozenset[str]) -> str:
        files = self._reach(names)
        lines = [f"{name} {self._source(files[name]).meaning}\n" for name in sorted(files)]
        if self._memo is not None and self._is_changed:
            with atomic_write(self._memo) as partial:
                partial.write_text(json.dumps(self._known), encoding="utf-8")
            self._is_changed = False
        return fingerprint_parts(*lines)

    def reached(self, *texts: str) -> set[str]:
        """Files that some texts lead to, relative to the package."""
        return set(self._reach(frozenset(_DOTTED.findall(" ".join(texts)))))

    def _reach(self, names: frozenset[str]) -> dict[str, Path]:
        seen, new, files = set[str](), set(names), dict[str, Path]()
        while new:
            seen |= new
            found = {path for name in new for path in self._resolve(name)}
            files |= {path.relative_to(self._root).as_posix(): path for path in found}
            new = {name for path in found for name in self._source(path).names} - seen
        return {name: path for name, path in files.items() if name not in _NO_RESULTS}

    def _find_files(self, name: str) -> tuple[Path, ...]:
        """Files behind a dotted name: those of a module, or of a whole package."""
        package = self._root
        for word in name.split(".")[1:]:
            if (package / f"{word}.py").is_file():
                return tuple(self._with_packages(package / f"{word}.py"))
            if not (package / word).is_dir():  # a class or function of the package
                initial = package / "__init__.py"
                if initial.is_file() and self._provides(initial, word):
                    return tuple(self._with_packages(initial))
                break
            package /= word
        found = [path for path in self._list(package) if path.suffix == ".py"]
        return tuple(path for module in found for path in self._with_packages(module))

    def _provides(self, initial: Path, name: str) -> bool:
        """Whether an ``__init__`` shows by an import where one of its names comes from."""
        return any(imported.endswith(f".{name}") for imported in self._source(initial).names)

    def _with_packages(self, module: Path) -> Iterator[Path]:
        """Yield a module, its packages' ``__init__``, and files such as templates beside it."""
        yield module
        for package in module.relative_to(self._root).parents:
            initial = self._root / package / "__init__.py"
            if initial.is_file():
                yield initial
        yield from (path for path in self._list(module.parent) if path.suffix != ".py")

    def _list_files(self, package: Path) -> tuple[Path, ...]:
        """All files of a package; none of the root, whose packages are named one by one."""
        if package == self._root:
            return ()
        files = (path for path in package.rglob("*") if path.is_file())
        return tuple(path for path in files if path.suffix != ".pyc")

    def _read_source(self, path: Path) -> _Source:
        status = path.stat()
        known = self._known.get(str(path))
        if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
            known = _Source(status.st_size, status.st_mtime_ns, *_parse(path))
            self._known[str(path)] = known
            self._is_changed = True
        # The root's __init__ offers everything by name, which does not mean that all is used.
        return known._replace(names=[]) if path == self._root / "__init__.py" else known


def _read_memo(memo: Path | None) -> dict[str, _Source]:
    try:
        content = json.loads(memo.read_text(encoding="utf-8")) if memo else {}
        return {path: _Source(*source) for path, source in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # absent, or of another version
        return {}


def _parse(path: Path) -> tuple[str, list[str]]:
    """Return the fingerprint of a file's meaning, and the dotted names that it uses."""
    if path.suffix != ".py":
        return str(fingerprint_file(path)), []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        match getattr(node, "body", None):
            case [ast.Expr(value=ast.Constant(value=str())), *_] as body:  # a docstring
                del body[0]
        # An __init__ that imports lazily shows only type checkers where its names come from.
        if _is_for_type_checkers(node) and path.name != "__init__.py":
            node.body.clear()
    names = {name for node in ast.walk(tree) for name in _names_in(node)}
    return fingerprint_parts(ast.dump(tree)), sorted(names)


def _is_for_type_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


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
