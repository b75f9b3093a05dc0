"""Samples to files, whatever a generator draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, final

from heliograph.errors import UsageError
from heliograph.files import atomic
from heliograph.generate import write
from heliograph.generate.crystals import write as of_crystals
from heliograph.generate.crystals.sampler import CrystalSampler
from heliograph.generate.metrics import unbound
from heliograph.generate.process import process
from heliograph.generate.sampler import Sampler, Wish, with_steps
from heliograph.learn.progress import Progress

if TYPE_CHECKING:
    from heliograph.chem.kept import Kept


class Drawing(Protocol):
    """What was asked of a generator, ready to be drawn: `unit` is the word for the samples, `notes` what lies outside the data."""

    unit: str
    notes: list[str]

    def check(self, path: Path) -> None:
        """Raise UsageError where the name's ending is none that can be written."""

    def write(self, path: Path, n: int, seed: int, batch_size: int, replace: bool, progress: Progress) -> None:
        """Write `n` samples, all or nothing."""


@final
class OfMolecules:
    """Molecules to an SDF or XYZ."""

    unit = "molecules"

    def __init__(self, sampler: Sampler, wish: Wish):
        self.sampler, self.wish = sampler, wish
        self.notes = [*wish.check(sampler.vocabulary), *(unbound(wish.formula) if wish.formula else [])]

    def check(self, path: Path) -> None:
        write.check(path)

    def write(self, path: Path, n: int, seed: int, batch_size: int, replace: bool, progress: Progress) -> None:
        _to_file(write.entries(self.sampler.sample(n, self.wish, seed, batch_size), path.suffix.lower()), path, n, replace, progress)


@final
class OfCrystals:
    """Crystals to a CIF or extended XYZ, or POSCARs into a folder."""

    unit = "crystals"

    def __init__(self, sampler: CrystalSampler, wish: Wish):
        self.sampler, self.wish, self.notes = sampler, wish, wish.check(sampler.vocabulary)

    def check(self, path: Path) -> None:
        of_crystals.check(path)

    def write(self, path: Path, n: int, seed: int, batch_size: int, replace: bool, progress: Progress) -> None:
        entries = of_crystals.entries(self.sampler.sample(n, self.wish, seed, batch_size), path.suffix.lower())
        if path.suffix:
            _to_file(entries, path, n, replace, progress)
            return
        path.mkdir(parents=True, exist_ok=True)
        for done, entry in enumerate(entries, 1):
            with atomic(path / f"POSCAR_{done}", replace=replace) as temporary:
                temporary.write_text(entry, encoding="utf-8")
            progress("sampling", done, n)


def around(sampler: Sampler, kept: Kept, sizes: tuple[int, int], n: int, seed: int = 0) -> Iterator[str]:
    """Draw `n` molecules of `sizes` (least and most) atoms that contain what is kept; SMILES of valid ones in one piece, no radicals.

    Raises UsageError for elements that the generator has never seen.
    """
    from heliograph.chem.atoms import Atoms, judge
    from heliograph.generate.keep import Fragment

    for drawn in sampler.sample(n, Wish(sizes=sizes, keep=Fragment(*kept.atoms, kept.open)), seed):
        batch = drawn.molecules
        for k in range(len(batch)):
            at, part = batch.atoms(k), batch.bonds_of(k)
            verdict = judge(Atoms(batch.z[at], batch.charge[at], batch.pos[at], batch.bonds[part], batch.order[part]))
            if verdict.smiles and verdict.connected and not verdict.radicals:
                yield verdict.smiles


def drawing(task: str, sampler: object, wish: Wish, steps: int | None = None, process_name: str | None = None) -> Drawing:
    """Return what draws samples of a generator. Raises UsageError for what it can't be asked."""
    if isinstance(sampler, Sampler):
        return OfMolecules(with_steps(sampler, steps, process(process_name) if process_name else None), wish)
    if isinstance(sampler, CrystalSampler):
        if wish.keep is not None:
            raise UsageError("--keep is for molecules")
        if process_name not in (None, "flow"):
            raise UsageError(f"--process {process_name}: crystals are drawn by flow")
        return OfCrystals(replace(sampler, steps=steps or sampler.steps), wish)
    raise UsageError(f"this generator draws {task}: use `heliograph generate {task}`")


def _to_file(entries: Iterator[str], path: Path, n: int, replace: bool, progress: Progress) -> None:
    with atomic(path, replace=replace) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for done, entry in enumerate(entries, 1):
            file.write(entry)
            progress("sampling", done, n)
