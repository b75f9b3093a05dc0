"""The periodic table as far as file formats and feature encodings need it, without RDKit."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np

_TABLE = (
    "* H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag "
    "Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U "
    "Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
SYMBOLS: tuple[str, ...] = tuple(_TABLE.split())
NUMBERS: dict[str, int] = {symbol: z for z, symbol in enumerate(SYMBOLS)}


def formula(z: np.ndarray) -> str:
    """Formula in Hill's order (C, H, then the alphabet) of the atomic numbers `z` [n]."""
    numbers, counts = np.unique(np.asarray(z), return_counts=True)
    count = {SYMBOLS[number] if number < len(SYMBOLS) else "?": int(k) for number, k in zip(numbers, counts, strict=True)}
    first = [symbol for symbol in ("C", "H") if "C" in count and symbol in count]
    rest = sorted(set(count) - set(first))
    return "".join(symbol + (str(count[symbol]) if count[symbol] > 1 else "") for symbol in first + rest)


@lru_cache(maxsize=1)
def masses() -> tuple[np.ndarray, dict[tuple[int, int], float]]:
    """Atomic weights [256] in u by atomic number (0 beyond the table) and isotope masses in u by (Z, mass number).

    From `masses.txt`, which is RDKit's table: encoding from a store needs no RDKit.
    """
    weights = np.zeros(256)
    isotopes: dict[tuple[int, int], float] = {}
    for line in files("heliograph.chem").joinpath("masses.txt").read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        number, weight, *rest = line.split()
        z = int(number)
        weights[z] = float(weight)
        for item in rest:
            a, _, mass = item.partition(":")
            isotopes[z, int(a)] = float(mass)
    return weights, isotopes
