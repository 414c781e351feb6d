"""The report as one file that needs nothing else: figures, images, style and scripts are in it.

Its security policy lets nothing be loaded, and no script run but the two that are named by their
hash.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from mlic.report.blocks import Section

__all__ = ["render_page"]


def render_page(
    title: str, verdict: Mapping[str, Any], sections: Sequence[Section], footer: str
) -> str:
    """Set a page out.

    Parameters
    ----------
    title
        Of the page.
    verdict
        ``sentence``, and ``tiles`` of a ``value`` with what it is of.
    sections
        Those without a block are left out.
    footer
        The last line.

    Returns
    -------
    str
        A whole HTML5 document; every text in it is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("mlic.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure_json"] = _figure_json
    templates = environment.loader
    assert templates is not None
    own = templates.get_source(environment, "report.js")[0]
    style = templates.get_source(environment, "report.css")[0]
    scripts = [get_plotlyjs(), own] if _has_figures(sections) else []
    return environment.get_template("report.html").render(
        title=title,
        verdict=verdict,
        sections=[section for section in sections if section.blocks],
        footer=footer,
        style=Markup(style),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        hashes=[_hash(script) for script in scripts],
    )


def _has_figures(sections: Sequence[Section]) -> bool:
    return any(block.kind == "figure" for section in sections for block in section.blocks)


def _hash(script: str) -> str:
    """Name of a script in a content security policy."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _figure_json(figure: Any) -> Markup:
    """A figure as JSON, in which plotly leaves nothing that HTML could take for markup."""
    from markupsafe import Markup

    return Markup(figure.to_json())  # noqa: S704
