"""The page holds everything and takes text as text."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

from mmvae.report.canvas import Picture
from mmvae.report.html import page
from mmvae.report.tables import Table

NASTY = '<script>alert("1")</script> & co'


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def made() -> str:
    table = Table(NASTY, (NASTY,), ((NASTY,),), NASTY)
    picture = Picture("name", NASTY, NASTY, b"\x89PNG bytes")
    return page(NASTY, [(NASTY, NASTY)], [table], [picture], NASTY, NASTY, [NASTY])


def test_text_is_text() -> None:
    reader = read(made())
    assert "script" not in {tag for tag, _ in reader.tags}
    assert reader.text.count(NASTY) == 13  # wherever text was given; title and heading both


def test_pictures_are_part_of_the_page() -> None:
    (image,) = [attrs for tag, attrs in read(made()).tags if tag == "img"]
    kind, data = image["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == b"\x89PNG bytes"
    assert image["alt"] == NASTY


def test_nothing_is_fetched() -> None:
    tags = read(made()).tags
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in tags}
    assert not re.search(r"url\(|@import|https?:", made())
