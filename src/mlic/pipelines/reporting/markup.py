"""HTML as text: one page, its sections, tables, cells and figures.

Every text that comes from outside passes through `cell` or `note`, which escape it.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["cell", "note", "number", "page", "percent", "row_name", "section", "table", "words"]

_STYLE = """
:root { color-scheme: light }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1.5rem; color: #1b1f24; background: #fff;
       font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem; margin: 0 }
h2 { font-size: 1.2rem; margin: 2.5rem 0 0 }
.verdict { font-size: 1.25rem; border-left: .25rem solid #2b6cb0; padding-left: 1rem }
.note, caption, figcaption, footer { color: #4a5562; font-size: .9rem }
table { width: 100%; border-collapse: collapse; margin: .5rem 0 1.5rem;
        font-variant-numeric: tabular-nums }
caption { text-align: left; padding: .5rem 0 }
th, td { padding: .25rem .5rem; text-align: right; vertical-align: top;
         border-bottom: 1px solid #d8dee4 }
thead th { border-bottom: 2px solid #1b1f24; vertical-align: bottom }
tbody th { font-weight: 500; min-width: 8rem }
th:first-child, .words { text-align: left; overflow-wrap: break-word }
th:first-child { padding-left: 0 }
#data table { max-width: 28rem }
.bar { min-width: 9rem; print-color-adjust: exact; -webkit-print-color-adjust: exact;
       background: linear-gradient(to right, #c3daf3 var(--share), transparent 0) }
tr:has(.chosen) > * { background: #e8f0fa; print-color-adjust: exact;
                       -webkit-print-color-adjust: exact }
h3 { font-size: 1rem; margin: 1rem 0 .25rem }
.maps { display: flex; flex-wrap: wrap; gap: .75rem }
figure { margin: 0 }
figure img { display: block; print-color-adjust: exact; -webkit-print-color-adjust: exact }
figcaption { overflow-wrap: break-word; max-width: 9rem }
footer { border-top: 1px solid #d8dee4; margin-top: 2.5rem; padding-top: .5rem }
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 10pt }
  tr, .maps { break-inside: avoid }
  h2, caption { break-after: avoid }
}
"""


def page(title: str, body: str) -> str:
    """Wrap markup into a whole document that may load and run nothing."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def section(title: str, *content: str) -> str:
    """Put ready markup under a heading of our own, which is its anchor too."""
    anchor = title.lower().replace(" ", "-")
    opening = f'<section id="{anchor}">\n<h2>{title}</h2>'
    return "\n".join([opening, *content, "</section>"])


def note(text: str) -> str:
    """Paragraph in small print."""
    return f'<p class="note">{escape(text)}</p>'


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    text_columns: Sequence[str] = (),
) -> str:
    """Set out rows of ready cells under column names, some of which may head text."""
    head = "".join(
        cell(name, "th", 'scope="col"' + ' class="words"' * (name in text_columns))
        for name in columns
    )
    body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return (
        f"<table>\n<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def cell(content: object, tag: str = "td", attributes: str = "") -> str:
    """Cell of a table; its content is escaped, its attributes are not.

    Examples
    --------
    >>> cell("R&D")
    '<td>R&amp;D</td>'
    """
    return f"<{tag}{' ' * bool(attributes)}{attributes}>{escape(str(content))}</{tag}>"


def row_name(content: object) -> str:
    """Cell that heads its row."""
    return cell(content, "th", 'scope="row"')


def words(content: object) -> str:
    """Cell of text rather than of a figure."""
    return cell(content, "td", 'class="words"')


def number(value: float | None, digits: int = 2, sign: str = "") -> str:
    """Text of a figure, with a true minus; a dash where there is none.

    Examples
    --------
    >>> number(-1234.5), number(0.004, sign="+"), number(float("nan"))
    ('−1,234.50', '+0.00', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{sign}z,.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 2) -> str:
    """Text of a figure that is in percent, its sign kept on the same line."""
    return f"{number(value, digits)}\N{NO-BREAK SPACE}%"
