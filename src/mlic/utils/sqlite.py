"""Addresses of SQLite files, in which some characters of a path have another meaning."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

__all__ = ["file_of", "is_sqlite", "uri_of"]

_PREFIX = re.compile(r"sqlite(\+pysqlite)?:///")


def is_sqlite(uri: str) -> bool:
    """Whether an address is that of a SQLite file."""
    return _PREFIX.match(uri) is not None


def uri_of(file: Path) -> str:
    """Address of a file.

    Examples
    --------
    >>> uri_of(Path("/projects/a b/mlflow.db"))
    'sqlite:////projects/a b/mlflow.db'
    >>> uri_of(Path("/projects/100%/mlflow.db"))
    'sqlite+pysqlite:////projects/100%25/mlflow.db'
    """
    path = str(file)
    quoted = path.replace("%", "%25").replace("?", "%3F")
    # Of the short form of an address MLflow makes the folder as it is written there.
    return f"sqlite:///{path}" if quoted == path else f"sqlite+pysqlite:///{quoted}"


def file_of(uri: str) -> Path:
    """File of an address.

    Examples
    --------
    >>> file_of("sqlite:///a%20b.db").name
    'a b.db'
    """
    return Path(unquote(_PREFIX.sub("", uri, count=1)))
