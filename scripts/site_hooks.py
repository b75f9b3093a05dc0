"""Hooks of MkDocs: what `mkdocs build` makes of files that are written once elsewhere.

- the front page is README.md, and CHANGELOG.md and CONTRIBUTING.md have pages;
- each page of the gallery is the docstring, the figure, the claims and the code of docs/gallery/NAME.py;
- the reference has a page for each line of `REFERENCE`, from the docstrings of what its rooms export.

Links that leave docs/ become text: the site stands alone.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
DOCS, SOURCE = ROOT / "docs", ROOT / "src"
FETCHED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\"'\s>]+")
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!gallery\.md)([^)#]+)[^)]*\)")  # pages of the gallery lead back to gallery.md

# Page of the reference -> title, and modules (all that they export or define) or single names in them.
REFERENCE: dict[str, tuple[str, tuple[str, ...]]] = {
    "estimators": ("Estimators", ("heliograph.estimators", "heliograph.onegraph.estimators")),
    "graph": ("Graphs", ("heliograph.graph:Graph", "heliograph.features:Indexed", "heliograph.features:Features",
                         "heliograph.batching:batch", "heliograph.features:dense", "heliograph.topology:Topology",
                         "heliograph.topology:Segments")),
    "model": ("Layers and networks", ("heliograph.edge", "heliograph.layer", "heliograph.model", "heliograph.zoo", "heliograph.compose")),
    "segment": ("Aggregations", ("heliograph.segment",)),
    "blocks": ("Blocks", ("heliograph.blocks",)),
    "views": ("Views", ("heliograph.views",)),
    "calculus": ("Calculus on graphs", ("heliograph.calculus", "heliograph.geometry", "heliograph.wl")),
    "algebra": ("The edge algebra", ("heliograph.algebra.switch", "heliograph.algebra.tensor:EdgeTensor", "heliograph.plan")),
    "learn": ("Learning", ("heliograph.learn", "heliograph.data.sources.graphs")),
    "sampling": ("Sampling", ("heliograph.sampling",)),
    "predictor": ("Predictors", ("heliograph.predictor.predictor:Predictor", "heliograph.predictor.predictor:Answers")),
    "potential": ("Potentials", ("heliograph.potential",)),
    "train": ("Training a table", ("heliograph.train.config", "heliograph.train.runner:run", "heliograph.train.result:TrainResult")),
    "compare": ("Comparing", ("heliograph.compare.config", "heliograph.compare.runner:run", "heliograph.compare.result:CompareResult",
                              "heliograph.compare.floor", "heliograph.compare.pairs")),
    "screen": ("Screening", ("heliograph.screen.config", "heliograph.screen.runner:run", "heliograph.screen.result:Result")),
    "active": ("What to measure next", ("heliograph.active.config", "heliograph.active.acquisition:choose",
                                        "heliograph.active.simulation:simulate", "heliograph.active.suggestion:suggest")),
    "explain": ("Explaining and diagnosing", ("heliograph.explain", "heliograph.diagnose.page", "heliograph.diagnose.intervene")),
    "errors": ("Errors", ("heliograph.errors",)),
}  # fmt: skip

# The texts whose sayings the gallery tries, by their letter in gallery.md.
TEXTS = {"A": "an encyclopedia's article", "S": "slides", "C": "a book's chapter", "G": "an engineering guide", "T": "a textbook"}


def exported(module: str) -> Iterator[str]:
    """Full names of what a module exports: what `__all__` lists, else its own public classes and functions, in their order."""
    if ":" in module:
        yield module.replace(":", ".")
        return
    path = SOURCE / module.replace(".", "/")
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8"))
    homes = {a.asname or a.name: f"{n.module}.{a.name}" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    own = [n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and not n.name.startswith("_")]
    listed = [ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"]
    names = [name for name in listed[0] if name in own or name in homes] if listed else own
    yield from (f"{module}.{name}" if name in own else homes[name] for name in names)


def reference(title: str, modules: tuple[str, ...]) -> str:
    """The page of a few modules, for mkdocstrings; of settings a table of their fields."""
    names = [name for module in modules for name in exported(module)]
    shown = [settings(name) if name.endswith(("Config", "Options")) else f"::: {name}" for name in names]
    return f"# {title}\n\n" + "\n\n".join(shown) + "\n"


def settings(name: str) -> str:
    """A class of settings: what it is, and a row for each field with its default and meaning."""
    module, _, kind = name.rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    rows = [f"## {kind} {{ #{name} }}", "", inspect.getdoc(found) or "", "", "| field | default | what it is |", "|---|---|---|"]
    for field, about in found.model_fields.items():
        given = "needed" if about.is_required() else repr(about.get_default(call_default_factory=True))
        if not about.description and (about.default_factory or isinstance(about.default, BaseModel)):
            given = "its defaults"  # a group of settings, which has a table of its own
        rows.append(f"| `{field}` | `{given}` | {(about.description or '').replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def saying(page: str) -> str:
    """What a text says that this page tries, and what came of it: its row of the last table of gallery.md."""
    lines = (DOCS / "gallery.md").read_text(encoding="utf-8").splitlines()
    rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    said, of, verdict = {row[0]: row[1:] for row in rows if len(row) == 4}[page]
    whose = " and ".join(TEXTS[letter] for letter in of.split(", "))
    return f"*It is said that* {said} ([{whose}](../gallery.md#whose-sayings-and-what-came-of-them)). *It is* {verdict}."


def gallery(path: Path) -> str:
    """The page of one file of the gallery: its words, the saying it tries, its figure, its claims, its code."""
    code = path.read_text(encoding="utf-8")
    title, _, words = (ast.get_docstring(ast.parse(code)) or "").partition("\n\n")
    claims = path.parent / "figures" / f"{path.stem}.txt"
    held = "\n".join(f"- {line.removeprefix('ok').strip()}" for line in claims.read_text(encoding="utf-8").splitlines() if line)
    return (
        f"# {path.stem.replace('_', ' ').capitalize()}\n\n**{title}**\n\n{words}\n\n{saying(path.stem)}\n\n"
        f"![{title}](figures/{path.stem}.png){{ .figure }}\n\n## What holds\n\nValue, and the bound that a test asserts:\n\n{held}\n\n"
        f"## The code\n\n`python docs/gallery/{path.name}` prints the lines above and draws the figure.\n\n```python\n{code}```\n"
    )


def pages() -> Iterator[tuple[str, str]]:
    """Path in the site and text of every page that is made."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    yield "index.md", "---\nhide: [navigation]\n---\n" + re.sub(r"\]\(docs/", "](", readme)
    for name in ("CHANGELOG", "CONTRIBUTING"):
        yield f"{name.lower()}.md", re.sub(r"\]\(docs/", "](", (ROOT / f"{name}.md").read_text(encoding="utf-8"))
    for path in sorted((DOCS / "gallery").glob("*.py")):
        if path.stem != "page":
            yield f"gallery/{path.stem}.md", gallery(path)
    for name, (title, modules) in REFERENCE.items():
        yield f"reference/{name}.md", reference(title, modules)


def on_config(config: Any) -> Any:
    """Put the pages that are made into the navigation."""
    for section in config["nav"]:
        if "Reference" in section:
            section["Reference"].append({"Python": [{title: f"reference/{name}.md"} for name, (title, _) in REFERENCE.items()]})
        if "Concepts" in section:
            files = sorted(p.stem for p in (DOCS / "gallery").glob("*.py") if p.stem != "page")
            at = next(k for k, page in enumerate(section["Concepts"]) if "Gallery" in page)
            section["Concepts"][at] = {"Gallery": [{"One language": "gallery.md"}, *(f"gallery/{name}.md" for name in files)]}
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for uri, text in pages():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to files of the gallery lead to their pages; links out of docs/ become the path in words."""
    markdown = re.sub(r"\]\(gallery/(\w+)\.py\)", r"](gallery/\1.md)", markdown)
    return OUTSIDE.sub(r"\1 (`\2`)", markdown)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Refuse a page that would fetch anything from another machine when it is read."""
    if found := FETCHED.search(re.sub(r'<link [^>]*rel="?canonical"?[^>]*>', "", output)):
        raise ValueError(f"{page.file.src_uri} would fetch {found[0]}: the site must stand alone")
    return output


def figures() -> None:
    """Run the pages of the gallery whose figures are older than their code, in one process; the rest is left alone."""
    import runpy
    import sys

    folder = DOCS / "gallery"
    sys.path.insert(0, str(folder))
    for path in sorted(folder.glob("*.py")):
        claims = folder / "figures" / f"{path.stem}.txt"
        if path.stem == "page" or (claims.is_file() and claims.stat().st_mtime > path.stat().st_mtime):
            continue
        sys.argv = [str(path)]
        runpy.run_path(str(path), run_name="__main__")


if __name__ == "__main__":
    figures()
