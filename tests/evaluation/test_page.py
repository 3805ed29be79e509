"""A report is one page that needs nothing else, whatever the names in it."""

import base64
import io
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from transformertf.evaluation.page import Section, report_html
from transformertf.plots import can_plot

NASTY = "<script>alert('\"&')</script>"
VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps tags, links and texts."""

    def __init__(self, page):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


def make_table():
    return pd.DataFrame(
        {"MAE": [0.123456, np.nan], NASTY: ["x", "y" * 200], "rows": [123456, 7]},
        index=pd.Index([NASTY, "b"], name="series"),
    )


def test_names_are_text_and_nothing_comes_from_outside():
    text = f"First {NASTY}\nsecond line\n\n\nnext paragraph"
    sections = [Section(NASTY, text, make_table()), Section("Last", table=make_table())]
    source = report_html(f"Report of {NASTY}", sections)
    page = Page(source)
    assert source.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert any(attrs.get("name") == "viewport" for attrs in page.all("meta"))
    for tag in ("script", "link", "iframe", "object", "base"):
        assert not page.all(tag)
    for _, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs)
        assert attrs.get("href", "#").startswith("#")
    (style,) = page.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    for query in ("prefers-color-scheme: dark", "@media print"):
        assert query in style
    assert page.texts["title"] == page.texts["h1"] == [f"Report of {NASTY}"]
    assert page.texts["h2"] == [NASTY, "Last"]
    assert page.texts["p"] == [f"First {NASTY}\nsecond line", "next paragraph"]
    assert page.texts["th"].count(NASTY) == 4


def test_contents_lead_to_the_sections():
    page = Page(report_html("Report", [Section(name) for name in ("a", "b", "a")]))
    links = [attrs["href"] for attrs in page.all("a")]
    assert page.texts["a"] == page.texts["h2"] == ["a", "b", "a"]
    assert links == [f"#{attrs['id']}" for attrs in page.all("section")]
    assert len(set(links)) == 3


def test_tables_have_four_digits_and_whole_names():
    page = Page(report_html("Report", [Section("Table", table=make_table())]))
    assert page.texts["th"] == ["series", "MAE", NASTY, "rows", NASTY, "b"]
    assert page.texts["td"] == ["0.1235", "x", "123456", "y" * 200, "7"]
    counted = Page(report_html("Report", [Section("Table", table=make_table().reset_index())]))
    assert [text for text in counted.texts["th"] if text.isdigit()] == []
    assert counted.texts["td"][:2] == [NASTY, "0.1235"]


@pytest.mark.skipif(not can_plot(), reason="the extra `plot` is not installed")
def test_figures_are_in_the_page():
    from matplotlib.image import imread

    from transformertf.plots import loss_figure

    figure = loss_figure({"train/loss": {0: 1.0, 1: 0.5}})
    section = Section(NASTY, table=make_table(), figure=figure)
    page = Page(report_html("Report", [section]))
    (image,) = page.all("img")
    assert image["alt"] == NASTY
    head, _, data = image["src"].partition(",")
    assert head == "data:image/png;base64"
    pixels = imread(io.BytesIO(base64.b64decode(data, validate=True)))
    width, height = figure.get_size_inches()
    assert pixels.shape[:2] == (round(100 * height), round(100 * width))
    order = [tag for tag, _ in page.tags if tag in ("h2", "table", "img")]
    assert order == ["h2", "table", "img"]
