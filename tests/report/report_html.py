"""A page as its parser sees it, and what must hold of every one."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and insists on balanced tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, (tag, self.open[-3:])

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words).replace("\u00a0", " "))


def check(html: str, page: Page) -> None:
    """It asks nothing of any network, runs no code but its own, and shows no failed number."""
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "base", "form")
        for attribute in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert re.match(r"data:|#|$", attributes.get(attribute, "")), (tag, attributes)
        assert not [a for a in attributes if a.startswith("on")], (tag, attributes)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"\bnan\b|\binf\b|None|Undefined|Traceback", page.text)
    numbers = [
        v
        for tag, a in page.tags
        if tag in ("circle", "rect", "path", "text")
        for k, v in a.items()
        if k in ("cx", "cy", "x", "y", "width", "height", "d")
    ]
    assert not any("nan" in v or "inf" in v for v in numbers)
