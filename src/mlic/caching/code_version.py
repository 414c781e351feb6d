"""Version of the code that a result depends on: what all modules mean that can be reached.

The modules that a module reaches are those it imports and those its strings name, for plug-ins
and classes of the catalog are found by name. Libraries are not followed.
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
    from collections.abc import Iterable, Iterator

__all__ = ["SourceTree", "code_version", "source_tree", "training_code_version"]

_DOTTED = re.compile(r"mlic(?:\.\w+)+")  # a leading \b would make the search 20 times slower
_DECIDES_WEIGHTS = (
    "mlic.training",
    "mlic.models",
    "mlic.losses",
    "mlic.images.augmentation",
    "mlic.images.perturbation",
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


class _Module(NamedTuple):
    """What is remembered of one file."""

    size: int
    mtime_ns: int
    meaning: str  # fingerprint
    imports: list[str]  # dotted names that are imported
    mentions: list[str]  # dotted names in strings


class SourceTree:
    """All files of a package called ``mlic``, each parsed once.

    The object sees every file as it was when it was first read.

    Parameters
    ----------
    root
        Folder of the package.
    memo
        JSON file that remembers what files mean while their sizes and times of change stay the
        same: parsing all of them takes about a second, the most that a run with nothing to do
        takes. Without it they are remembered in memory only.
    """

    def __init__(self, root: Path, memo: Path | None = None) -> None:
        self._root, self._memo = root, memo
        self._known = _read_memo(memo)
        self._is_changed = False
        # Caches of this object, not of its class, so that they end with it.
        self._module = cache(self._read_module)
        self._files_below = cache(self._list_files)
        self._neighbours = cache(self._find_neighbours)
        self._version = cache(self._compute_version)

    def version(self, *texts: str) -> str:
        """Fingerprint of what some texts name; see `code_version`."""
        return self._version(self._named(*texts))

    def _compute_version(self, start: frozenset[Path]) -> str:
        files = {self._relative(path): path for path in self._reach(start)}
        names = sorted(files.keys() - _NO_RESULTS)
        lines = [f"{name} {self._module(files[name]).meaning}\n" for name in names]
        self._write_memo()
        return fingerprint_parts(*lines)

    def reached(self, *texts: str) -> set[str]:
        """Files that some texts lead to, relative to the package."""
        return set(map(self._relative, self._reach(self._named(*texts))))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _named(self, *texts: str) -> frozenset[Path]:
        return frozenset(self._mentioned(_DOTTED.findall(" ".join(texts))))

    def _reach(self, start: frozenset[Path]) -> set[Path]:
        found, new = set[Path](), set(start)
        while new:
            found |= new
            new = set[Path]().union(*map(self._neighbours, new)) - found
        return found

    def _find_neighbours(self, path: Path) -> frozenset[Path]:
        if path.suffix != ".py" or path == self._root / "__init__.py":
            return frozenset()
        module = self._module(path)
        return frozenset([*self._imported(module.imports), *self._mentioned(module.mentions)])

    def _imported(self, names: Iterable[str]) -> Iterator[Path]:
        """Files behind imported names: of a package, what its ``__init__`` leads to."""
        for name in names:
            place, attribute = self._locate(name)
            initial = place / "__init__.py"
            if place.suffix == ".py":
                yield from self._module_files(place)
            elif place != self._root and self._provides(initial, attribute):
                yield from self._module_files(initial)
            else:  # found by a rule of the package's own, such as a lazy import
                yield from self._package_files(place)

    def _provides(self, initial: Path, attribute: str) -> bool:
        """Whether an ``__init__`` imports a name in plain sight, or none is asked for."""
        if not initial.is_file():
            return False
        provided = self._module(initial).imports
        return not attribute or any(name.endswith(f".{attribute}") for name in provided)

    def _mentioned(self, names: Iterable[str]) -> Iterator[Path]:
        """Files behind names in texts: of a package, all."""
        for name in names:
            place, _ = self._locate(name)
            if place.suffix == ".py":
                yield from self._module_files(place)
            else:
                yield from self._package_files(place)

    def _locate(self, name: str) -> tuple[Path, str]:
        """Return the module or package that a dotted name starts with, and the next word."""
        place = self._root
        _, *words = name.split(".")
        for word in words:
            inner = place / word
            if inner.with_suffix(".py").is_file():
                return inner.with_suffix(".py"), ""
            if not inner.is_dir():
                return place, word
            place = inner
        return place, ""

    def _module_files(self, module: Path) -> Iterator[Path]:
        """Yield a module, the packages that hold it, and the files beside it such as templates."""
        yield module
        for package in module.relative_to(self._root).parents:
            initial = self._root / package / "__init__.py"
            if initial.is_file():
                yield initial
        yield from (path for path in self._files_below(module.parent) if path.suffix != ".py")

    def _package_files(self, package: Path) -> Iterator[Path]:
        for path in self._files_below(package):
            yield from self._module_files(path) if path.suffix == ".py" else [path]

    def _list_files(self, package: Path) -> tuple[Path, ...]:
        """All files of a package; none of the root, whose packages are named one by one."""
        if package == self._root:
            return ()
        files = (path for path in package.rglob("*") if path.is_file())
        return tuple(path for path in files if path.suffix != ".pyc")

    def _read_module(self, path: Path) -> _Module:
        status = path.stat()
        known = self._known.get(str(path))
        if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
            known = _Module(status.st_size, status.st_mtime_ns, *_parse(path))
            self._known[str(path)] = known
            self._is_changed = True
        return known

    def _write_memo(self) -> None:
        if self._memo is not None and self._is_changed:
            with atomic_write(self._memo) as partial:
                partial.write_text(json.dumps(self._known), encoding="utf-8")
            self._is_changed = False


def _read_memo(memo: Path | None) -> dict[str, _Module]:
    try:
        content = json.loads(memo.read_text(encoding="utf-8")) if memo else {}
        return {path: _Module(*module) for path, module in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # absent, or of another version
        return {}


def _parse(path: Path) -> tuple[str, list[str], list[str]]:
    """Return the fingerprint of a file's meaning, the names it imports and those it mentions."""
    if path.suffix != ".py":
        return str(fingerprint_file(path)), [], []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        _drop_docstring(node)
        # An __init__ that imports lazily shows only type checkers where its names come from.
        if _is_for_type_checkers(node) and path.name != "__init__.py":
            node.body.clear()
    imports, mentions = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            imports |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            mentions |= set(_DOTTED.findall(node.value))
    own = sorted(name for name in imports if name == "mlic" or name.startswith("mlic."))
    return fingerprint_parts(ast.dump(tree)), own, sorted(mentions)


def _drop_docstring(node: ast.AST) -> None:
    body = getattr(node, "body", None)
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            del body[0]


def _is_for_type_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
