"""Texts that are not SMILES but something else that people keep in tables: named, not read as what they are not."""

from __future__ import annotations

import re

_INCHI = re.compile(r"inchi=", re.IGNORECASE)
_INCHIKEY = re.compile(r"(inchikey=)?[A-Z]{14}-[A-Z]{10}-[A-Z]", re.IGNORECASE)
_BRACKETS = re.compile(r"(\[[^\[\]]*\])+\.?(\[[^\[\]]*\]\.?)*")
_TOKEN = re.compile(r"\[([^\[\]]*)\]")
_SELFIES = re.compile(r"[=#/\\-]?(Branch|Ring|Expl|epsilon|nop)[\w=#/\\]*|[=#/\\][A-Z][a-z]?\w*", re.IGNORECASE)
_BARE = re.compile(r"[=#/\\]?(Cl|Br|[BCNOPSFI])")
_SMARTS = re.compile(r"\[[^\]]*(#\d|\$\(|[!&;,]|\bR\d|\bX\d|\bv\d)[^\[]*\]")
_CAS = re.compile(r"(CAS[:\s-]*)?\d{2,7}-\d\d-\d", re.IGNORECASE)
_NUMBERED = re.compile(r"(CHEMBL|CHEBI|ZINC|DB|CID|SID|DTXSID|HMDB|MCULE|MolPort|NSC|SCHEMBL|AKOS|BRD|STK)[:\s-]*[\d-]+\w*", re.IGNORECASE)
_FORMULA = re.compile(r"([A-Z][a-z]?\d*)+")
_HYDROGENS = re.compile(r"H\d")
_NAME = re.compile(r"[A-Za-z0-9 ,'()\[\]{}+.\u03b1-\u03c9-]+")
_WORD = re.compile(r"[a-z]{4,}")


def foreign(text: str) -> str:
    """What the text is where it is plainly another notation ("" where it may be SMILES), though a SMILES reader may accept it."""
    if _INCHI.match(text):
        return "InChI; convert it first (RDKit: Chem.MolToSmiles(Chem.MolFromInchi(text)))"
    if _INCHIKEY.fullmatch(text):
        return "an InChIKey; it names a structure without saying it"
    if _CAS.fullmatch(text):
        return "a CAS number; it names a structure without saying it"
    if ">" in text and _is_reaction(text):
        return "a reaction; a row is one molecule"
    if text[:1] == "[" and text[-1:] == "]" and _is_selfies(text):
        return "SELFIES; convert it first (selfies.decoder)"
    if "~" in text.partition(" ")[0] or ("[" in text and _SMARTS.search(text.partition(" ")[0])):
        return "a SMARTS pattern; a row is one molecule"
    return ""


def guess(text: str) -> str:
    """What a text that is no SMILES may be: a formula, a name; "" where it is a SMILES gone wrong."""
    if _NUMBERED.fullmatch(text):
        return "looks like a number in a catalogue; give its SMILES"
    if _FORMULA.fullmatch(text) and _HYDROGENS.search(text):
        return "looks like a formula; give SMILES"
    words = [word for word in _WORD.findall(text) if set(word) - set("bcnops")]
    if words and _NAME.fullmatch(text):
        return "looks like a name; give its SMILES"
    return ""


def _is_reaction(text: str) -> bool:
    bare = re.sub(r"\[[^\]]*\]|\|[^|]*\|", "", text).replace("->", "").replace("<-", "")
    return bare.count(">") == 2


def _is_selfies(text: str) -> bool:
    """Brackets and nothing else, with words of SELFIES in them, or three and more bare atoms (in SMILES: radicals)."""
    if _BRACKETS.fullmatch(text) is None:
        return False
    tokens = _TOKEN.findall(text)
    if any(_SELFIES.fullmatch(token) for token in tokens):
        return True
    return len(tokens) > 2 and all(_BARE.fullmatch(token) for token in tokens)
