"""Turn the few reStructuredText marks of the docstrings into Markdown for the site."""

from __future__ import annotations

import re
from typing import Any

import griffe


class MarkdownDocstrings(griffe.Extension):
    """Formulas become code blocks, and reference marks lose their trailing underscore."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object when it is found."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(docstring: str) -> str:
    r"""Rewrite one docstring.

    Examples
    --------
    >>> print(to_markdown("As in [1]_:\n\n.. math:: a = b\n\nText."))
    As in [1]:
    <BLANKLINE>
    ```latex
    a = b
    ```
    <BLANKLINE>
    Text.
    """
    text = re.sub(r"\[(\d+)\]_", r"[\1]", docstring)
    text = re.sub(r"^\.\. (\[\d+\])", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r":math:`([^`]+)`", r"`\1`", text)
    formula = r"^\.\. math::[ \n]\s*((?:.+\n?)+)"
    return re.sub(formula, lambda found: _code_block(found[1]), text, flags=re.MULTILINE)


def _code_block(formula: str) -> str:
    lines = "\n".join(line.strip() for line in formula.strip().splitlines())
    return f"```latex\n{lines}\n```\n"
