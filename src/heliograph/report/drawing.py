"""Molecules for the page: RDKit's SVG as an image, or nothing where the text can't be drawn."""

from __future__ import annotations

import base64
import re
from functools import lru_cache

LONGEST = 400  # characters; a larger molecule is unreadable in a small picture


@lru_cache(maxsize=512)
def picture(structure: str, width: int = 220, height: int = 150) -> str:
    """A data address for <img>, "" where there is no picture. An image, not inline SVG: whatever is in it can't reach the page."""
    if not structure or len(structure) > LONGEST:
        return ""
    try:
        from heliograph.chem.draw import draw_svg

        svg = draw_svg(structure, width, height)
    except Exception:  # a formula, a damaged SMILES, no RDKit: the card shows the text, the report goes on
        return ""
    small = re.sub(r">\s+<", "><", re.sub(r"<\?xml.*?\?>|<!--.*?-->", "", svg, flags=re.DOTALL)).strip()
    return "data:image/svg+xml;base64," + base64.b64encode(small.encode()).decode("ascii")
