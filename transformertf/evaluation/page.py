"""One page of text, tables and figures that needs no other file.

Figures are PNG within the page, tables are HTML, and there is no script; so the page can be mailed,
kept beside a checkpoint, read on a phone and printed.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from transformertf.wording import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GENERATOR = "transformertf evaluate"  # what says that a page is one of ours
_STYLE = """
:root { color-scheme: light dark; --line: #ccc; --soft: #f4f4f4; --link: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --line: #555; --soft: #2a2a2a; --link: #56b4e9; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.25; overflow-wrap: anywhere; }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; padding-bottom: .2rem; }
nav { background: var(--soft); border-radius: .4rem; padding: .6rem 1rem; }
nav ol { margin: 0; padding-left: 1.4rem; }
a { color: var(--link); }
p { white-space: pre-line; overflow-wrap: anywhere; }
img { background: #fff; border-radius: .4rem; height: auto; margin-top: 1rem; max-width: 100%; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: right; }
thead th { background: var(--soft); }
tbody th, tr :first-child { text-align: left; }
@media print {
  :root { color-scheme: light; --line: #ccc; --soft: #f4f4f4; --link: #000; }
  body { font-size: 10pt; max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  img, tr { break-inside: avoid; }
  .table { overflow: visible; }
  table { font-size: 8pt; }
}
"""


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Attributes:
        title: stands above it, and in the table of contents.
        text: plain text; an empty line ends a paragraph.
        table: shown with its index, unless that only counts, and numbers with four digits.
        figure: shown below the table.
    """

    title: str
    text: str = ""
    table: pd.DataFrame | None = None
    figure: "Figure | None" = None


def report_html(title: str, sections: Sequence[Section]) -> str:
    """Return a page of HTML.

    Args:
        title: of the page.
        sections: in their order; titles, texts and the names in tables may hold anything.
    """
    contents = "\n".join(
        f'<li><a href="#section-{number}">{escape(section.title)}</a></li>'
        for number, section in enumerate(sections, start=1)
    )
    body = "\n".join(_section(count, item) for count, item in enumerate(sections, start=1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="{GENERATOR}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<nav aria-label="Contents">
<ol>
{contents}
</ol>
</nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def _section(number: int, section: Section) -> str:
    parts = [f'<section id="section-{number}">', f"<h2>{escape(section.title)}</h2>"]
    paragraphs = (paragraph.strip() for paragraph in section.text.split("\n\n"))
    parts += [f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs if paragraph]
    if section.table is not None:
        parts.append(f'<div class="table">{_table(section.table)}</div>')
    if section.figure is not None:
        parts.append(_image(section.figure, section.title))
    return "\n".join([*parts, "</section>"])


def _table(table: pd.DataFrame) -> str:
    name = table.index.name
    counts = isinstance(table.index, pd.RangeIndex) and name is None
    if name is not None:
        # beside the names of the columns, not on a row of its own
        table = table.rename_axis(index=None, columns=str(name))
    return str(table.to_html(border=0, na_rep="", float_format=number, index=not counts))


def _image(figure: "Figure", name: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{data}">'
