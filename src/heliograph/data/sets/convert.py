"""Public files in formats of their own, to gzipped extended XYZ that the readers read. Nothing is unpacked to disk."""

from __future__ import annotations

import gzip
import tarfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from heliograph.data.sets.download import Progress
from heliograph.errors import DataError
from heliograph.files import atomic

HARTREE = 27.211386245988  # eV, CODATA 2018
BOHR = 0.529177210903  # angstrom
KCAL_MOL = 0.04336410390059322  # eV
_SYMBOLS = {1: "H", 6: "C", 7: "N", 8: "O", 9: "F", 16: "S"}

# line 2 of a gdb9 file after "gdb INDEX" (the data set's readme): name and factor to our units
_GDB9 = (
    ("A", 1.0), ("B", 1.0), ("C", 1.0), ("mu", 1.0), ("alpha", 1.0), ("homo", HARTREE), ("lumo", HARTREE), ("gap", HARTREE), ("r2", 1.0),
    ("zpve", HARTREE), ("u0", HARTREE), ("u", HARTREE), ("h", HARTREE), ("g", HARTREE), ("cv", 1.0),
)  # fmt: skip
# free atoms at the level of QM9, Hartree: U0, U, H, G at 298.15 K (atomref.txt of the data set)
_ATOMREF = {
    "H": (-0.500273, -0.498857, -0.497912, -0.510927),
    "C": (-37.846772, -37.845355, -37.844411, -37.861317),
    "N": (-54.583861, -54.582445, -54.581501, -54.598897),
    "O": (-75.064579, -75.063163, -75.062219, -75.079532),
    "F": (-99.718730, -99.717314, -99.716370, -99.733544),
}


def qm9(files: Sequence[Path], target: Path, progress: Progress | None = None) -> None:
    """`dsgdb9nsd.xyz.tar.bz2` and `uncharacterized.txt` to one extended XYZ, in the order of the archive (gdb index).

    The molecules that the authors list as uncharacterized are left out. DataError, naming the member, where one can't be read.
    """
    archive, listed = files
    skip = {int(words[0]) for line in listed.read_text().splitlines() if (words := line.split()) and words[0].isdigit()}
    with _compressed(target) as out, tarfile.open(archive, "r|bz2") as members:
        for done, member in enumerate(members, 1):
            stream = members.extractfile(member)
            if stream is None or not member.name.endswith(".xyz"):
                continue
            try:
                index, text = _gdb9(stream.read().decode("ascii"))
            except (ValueError, IndexError, KeyError) as error:
                raise DataError(f"{archive.name}: {member.name} is not in the gdb9 format ({error}). Delete it and fetch again.") from error
            if index not in skip:
                out.write(text.encode())
            if progress is not None and done % 1000 == 0:
                progress(f"converting to {target.name}", done, 133_885)


def _gdb9(text: str) -> tuple[int, str]:
    """Index and extended XYZ of one molecule in the gdb9 format: atoms, properties, atoms with charges, frequencies, SMILES, InChI."""
    lines = text.splitlines()
    n, words = int(lines[0]), lines[1].split()
    index = int(words[1])
    values = {name: _number(word) * factor for (name, factor), word in zip(_GDB9, words[2:], strict=True)}
    atoms = [line.split() for line in lines[2 : 2 + n]]
    symbols = [atom[0] for atom in atoms]
    for column, name in enumerate(("u0", "u", "h", "g")):
        values[f"{name}_atom"] = values[name] - HARTREE * sum(_ATOMREF[symbol][column] for symbol in symbols)
    smiles = lines[n + 3].split()
    info = {"index": str(index), "smiles": smiles[-1]} | {name: f"{value:.10g}" for name, value in values.items()}
    return index, _frame(info, symbols, [[_number(word) for word in atom[1:4]] for atom in atoms])


def _number(word: str) -> float:
    return float(word.replace("*^", "e"))  # Mathematica's 2.1997*^-6


def qm7(files: Sequence[Path], target: Path, progress: Progress | None = None) -> None:
    """`qm7.mat` (R in bohr [7165, 23, 3], Z, T in kcal/mol, the five folds P) to extended XYZ with `u0_atom` in eV and `fold`."""
    from scipy.io import loadmat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = loadmat(files[0])
        positions, numbers, energies = data["R"] * BOHR, data["Z"].astype(int), data["T"].ravel() * KCAL_MOL
        fold = np.empty(len(energies), dtype=int)
        for k, rows in enumerate(data["P"]):
            fold[np.asarray(rows, dtype=int).ravel()] = k
    except (KeyError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        raise DataError(f"{files[0].name} is not the QM7 file ({error}). Delete {files[0]} and fetch again.") from error
    with _compressed(target) as out:
        for row, (z, pos) in enumerate(zip(numbers, positions, strict=True)):
            real = z > 0
            info = {"index": str(row), "u0_atom": f"{energies[row]:.10g}", "fold": str(fold[row])}
            out.write(_frame(info, [_SYMBOLS[int(number)] for number in z[real]], pos[real].tolist()).encode())
            if progress is not None and row % 1000 == 999:
                progress(f"converting to {target.name}", row + 1, len(energies))


def _frame(info: dict[str, str], symbols: Sequence[str], pos: Iterable[Sequence[float]]) -> str:
    """One frame of extended XYZ."""
    words = " ".join(f'{key}="{value}"' if key == "smiles" else f"{key}={value}" for key, value in info.items())
    atoms = "".join(f"{s} {x:.8f} {y:.8f} {z:.8f}\n" for s, (x, y, z) in zip(symbols, pos, strict=True))
    return f"{len(symbols)}\nProperties=species:S:1:pos:R:3 {words}\n{atoms}"


@contextmanager
def _compressed(target: Path) -> Iterator[gzip.GzipFile]:
    """A gzip stream that becomes `target` once it is whole; the same bytes on every machine."""
    with atomic(target) as path, path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as out:
        yield out
