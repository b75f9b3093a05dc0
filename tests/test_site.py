"""The site: every page of docs/ stands in its navigation once, and the pages that are made have something in them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "scripts" / "site_hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def navigation() -> list[str]:
    """Paths under `nav`; other parts of mkdocs.yml may name Python objects, which are not read."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return re.findall(r": ([\w/-]+\.md)$", text[text.index("\nnav:") :], re.MULTILINE)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = navigation()
    made = {"index.md", "changelog.md", "contributing.md"}
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert sorted(listed) == sorted(set(listed)), "a page stands twice under nav in mkdocs.yml"
    assert pages - set(listed) == set(), "add these pages under nav in mkdocs.yml"
    assert set(listed) - pages == made, "these pages under nav in mkdocs.yml are not there"


def test_mkdocs_yml_is_yaml_and_fetches_nothing() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    found = yaml.safe_load(text)
    assert found["theme"]["font"] is False
    assert "http" not in text


def test_reference_names_what_exists(hooks: ModuleType) -> None:
    for title, modules in hooks.REFERENCE.values():
        names = [name for module in modules for name in hooks.exported(module)]
        assert names and len(names) == len(set(names)), title
        for name in names:
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name


def test_settings_are_shown_field_by_field(hooks: ModuleType) -> None:
    text = hooks.reference("x", ("heliograph.learn.config:FitConfig", "heliograph.train.config:TrainConfig"))
    assert "| `epochs` | `50` | passes over the training set |" in text and ":::" not in text
    assert "\n## TrainConfig { #heliograph.train.config.TrainConfig }\n" in text and "| `data` | `needed` |" in text


def test_pages_of_the_gallery_are_made(hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "heat.py").write_text('"""A toy.\n\nIdea: none.\n"""\n')
    (tmp_path / "figures" / "heat.txt").write_text("ok one is one: 1 (<= 1)\n")
    text = hooks.gallery(tmp_path / "heat.py")
    assert text.startswith("# Heat\n\n**A toy.**\n\nIdea: none.")
    assert "\n\n*It is said that* a linear message is the finite volume method" in text
    link = "([an encyclopedia's article](../gallery.md#whose-sayings-and-what-came-of-them))"
    assert link in text and link in hooks.on_page_markdown(text, None, None, None)  # it stays within the site
    assert "](figures/heat.png)" in text and "\n- one is one: 1 (<= 1)\n" in text


def test_links_that_leave_the_docs_become_text(hooks: ModuleType) -> None:
    text = hooks.on_page_markdown("[a](../bench/README.md#b) [c](gallery/heat.py) [d](cli.md)", None, None, None)
    assert text == "a (`bench/README.md`) [c](gallery/heat.md) [d](cli.md)"


def test_a_page_that_fetches_from_elsewhere_is_refused(hooks: ModuleType) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="x.md"))
    for text in (
        "<script src=https://unpkg.com/x></script>",
        '<link rel="stylesheet" href="//fonts.example/a">',
        '<img src="http://a/b.png">',
    ):
        with pytest.raises(ValueError, match=r"x\.md would fetch .*stand alone"):
            hooks.on_post_page(text, page, None)
    kept = '<a href="https://arxiv.org/abs/1">a</a><script src="js/a.js"></script>'
    assert hooks.on_post_page(kept, page, None) == kept


def test_what_is_kept_for_citing_is_yaml_and_says_this_version() -> None:
    import heliograph

    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert found["version"] == heliograph.__version__ and found["cff-version"] == "1.2.0"
