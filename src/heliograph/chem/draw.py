"""Molecules as SVG, for pages that must work offline."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from html import escape

from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from heliograph.chem.parse import parse_smiles
from heliograph.errors import StructureError

RING, DARK = "#b27b00", (0.25, 0.25, 0.25)  # of atoms to be ringed; of bonds within a fragment


def draw_svg(
    smiles: str,
    width: int = 250,
    height: int = 180,
    *,
    colours: Mapping[int, tuple[float, float, float]] | None = None,
    ringed: Collection[int] = (),
    fragment: Collection[int] = (),
) -> str:
    """An `<svg>` element of the molecule, background transparent, to paste into HTML.

    `colours`: red, green, blue in 0 .. 1 for atoms to set off, by their number in `smiles`; `ringed`: atoms with a ring around
    them; `fragment`: atoms whose bonds to each other are drawn thick. What is no SMILES (a formula, say) is written out instead:
    a report is not lost over one molecule.
    """
    try:
        mol = parse_smiles(smiles)
        with rdBase.BlockLogs():
            return _svg(mol, width, height, colours or {}, ringed, frozenset(fragment))
    except (StructureError, RuntimeError, ValueError):
        return _words(smiles, width, height)


def _svg(
    mol: Chem.Mol,
    width: int,
    height: int,
    colours: Mapping[int, tuple[float, float, float]],
    ringed: Collection[int],
    fragment: frozenset[int],
) -> str:
    canvas = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = canvas.drawOptions()
    options.clearBackground = False  # type: ignore[assignment]
    options.padding = 0.06  # type: ignore[assignment]
    options.maxFontSize = 18  # type: ignore[assignment]
    prepared = rdMolDraw2D.PrepareMolForDrawing(mol)
    inside = [b.GetIdx() for b in prepared.GetBonds() if {b.GetBeginAtomIdx(), b.GetEndAtomIdx()} <= fragment]
    canvas.DrawMolecule(prepared, highlightAtoms=list(colours), highlightAtomColors=dict(colours), highlightBonds=inside,
                        highlightBondColors=dict.fromkeys(inside, DARK))  # fmt: skip
    canvas.FinishDrawing()
    places = [canvas.GetDrawCoords(k) for k in ringed if k < prepared.GetNumAtoms()]
    rings = "".join(f"<circle cx='{p.x:.1f}' cy='{p.y:.1f}' r='9' fill='none' stroke='{RING}' stroke-width='2' />" for p in places)
    text = re.sub(r"^<\?xml.*?\?>\s*|<!-- END OF HEADER -->\s*", "", str(canvas.GetDrawingText())).strip()
    return text.removesuffix("</svg>") + rings + "</svg>"


def _words(text: str, width: int, height: int) -> str:
    shown = text if len(text) <= 40 else text[:37] + "..."
    shown = shown.encode("utf-8", "replace").decode("utf-8")
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}px' height='{height}px' viewBox='0 0 {width} {height}'>"
        f"<text x='50%' y='50%' text-anchor='middle' font-family='sans-serif' font-size='14'>{escape(shown)}</text></svg>"
    )


@dataclass(frozen=True)
class Layout:
    """A molecule in the plane: symbols with charges [n], places [n, 2] in bond lengths, bonds [m, 3] of two atoms and an order."""

    symbols: tuple[str, ...]
    places: tuple[tuple[float, float], ...]
    bonds: tuple[tuple[int, int, float], ...]


def layout(smiles: str) -> Layout:
    """Where the atoms of a drawing are. Raises StructureError."""
    mol = parse_smiles(smiles)
    with rdBase.BlockLogs():
        rdDepictor.Compute2DCoords(mol)
    places = mol.GetConformer().GetPositions()[:, :2] / 1.5
    symbols = [atom.GetSymbol() + _charge(atom.GetFormalCharge()) for atom in mol.GetAtoms()]
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondTypeAsDouble()) for b in mol.GetBonds()]
    return Layout(tuple(symbols), tuple((float(x), float(y)) for x, y in places), tuple(bonds))


def _charge(q: int) -> str:
    return "" if not q else ("+" if q > 0 else "−") + (str(abs(q)) if abs(q) > 1 else "")
