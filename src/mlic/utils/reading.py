"""Reading of files that anyone may have written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlic.errors import DataError, MlicError

__all__ = ["explain_content", "one_line"]


@contextmanager
def explain_content(path: Path, fix: str) -> Iterator[None]:
    """Turn whatever the content of a file causes in the block into one `DataError`.

    Parameters
    ----------
    path
        The file, which is the error's field ``path``.
    fix
        What the file should be, or what to do.
    """
    try:
        yield
    except MlicError:
        raise
    # Libraries raise errors of any kind for content that they do not expect.
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise DataError(f"{path} cannot be read ({reason}): {fix}", path=path) from error


def one_line(error: BaseException) -> str:
    r"""Return the beginning of an error's message, for a message of one line.

    Examples
    --------
    >>> one_line(ValueError("two\n  lines"))
    'two lines'
    """
    return " ".join(str(error).split())[:300]
