"""One HTML file from a template and its content: the style and the script inside, every text escaped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from heliograph.files import atomic

KINDS = {"regression": "regression", "binary": "binary classification", "multiclass": "multi-class classification"}


def write(template: str, content: Mapping[str, Any], path: str | Path) -> Path:
    """Fill the template into a file that asks nothing of any network. Returns the path; HeliographError where it can't be written."""
    page = _filled(template, content)
    target = Path(path)
    with atomic(target) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return target


def _filled(template: str, content: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("heliograph.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = environment.loader.get_source  # type: ignore[union-attr]
    style, script = (Markup(source(environment, name)[0]) for name in ("style.css", "tips.js"))  # ours, not the user's
    return environment.get_template(template).render(style=style, script=script, **content)
