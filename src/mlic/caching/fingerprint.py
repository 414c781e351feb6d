"""The version of the code that decides what a training yields."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

import mlic

__all__ = ["code_fingerprint", "file_fingerprint"]

# the images themselves have a fingerprint of their own
_DECISIVE = (
    "distillation",
    "evaluation/metrics.py",
    "images/augmentation.py",
    "images/pixel_ops.py",
    "images/preprocess.py",
    "losses",
    "models",
    "training",
)


@cache
def code_fingerprint() -> str:
    """Sixteen hex digits over the code of views, losses, models, training and selection.

    Comments, docstrings and layout do not count; anything else does, so that no training is
    taken for fresh after the code changed.
    """
    root = Path(mlic.__file__).parent
    digest = hashlib.sha256()
    for name in _DECISIVE:
        place = root / name
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(_meaning(path.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:16]


def file_fingerprint(path: str | None) -> str | None:
    """Sixteen hex digits over a file's content; None where there is no such file."""
    if path is None or not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _meaning(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            del body[0]
    return ast.dump(tree)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
