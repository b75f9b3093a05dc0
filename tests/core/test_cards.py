"""Cards: measured values against what is known, and the page of the docs against the cards."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from heliograph import cards, zoo

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"

QUICK = {"gcn", "gat", "schnet", "kgnn"}
card_of = cache(cards.card)  # measuring takes a second


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in zoo.names()])
def test_the_page_has_this_card(name: str) -> None:
    """`python -m heliograph.cards > docs/architectures.md` writes it anew."""
    card, page = card_of(name), PAGE.read_text(encoding="utf-8")
    assert cards.row(card) in page.splitlines()
    assert f"{cards.section(card)}\n" in page
    assert card.name == name


def test_the_page_has_no_other_cards() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == zoo.names()


def test_measured_is_what_is_known() -> None:
    gcn, gin, gps, gat = (card_of(name) for name in ("gcn", "gin", "gps", "gat"))
    assert gcn.cost == "2 N d^2 + E d FLOPs"  # one matrix on nodes, one sum over edges: a multiply-add is two
    assert not gcn.edge_features and gin.edge_features and gcn.direction
    assert gin.apart == gin.of > 0 and gat.apart == 0  # a mean of equal states counts nothing
    assert (gin.hexagon, gps.hexagon, gps.rook) == (False, True, False)
    assert card_of("schnet").apart is None


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        '"""Mine (Me 2024, arXiv:1).\n\nh_i\' = h_i."""\nfrom heliograph.zoo.sgc import *\nfrom heliograph.zoo.sgc import build\n'
    )
    card = cards.card(str(mine))
    assert cards.title(card.text) == ("Mine", "Me 2024, arXiv:1") and card.name == "mine"
    assert "a step      3 E FLOPs" in str(card) and "  K              default 2" in str(card)
    assert cards.title("no paper.") == ("no paper.", "")
