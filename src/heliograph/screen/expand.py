"""Around hits: neighbours out of a library, and analogues by changes that were made before; each names its parent and its change."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from heliograph.data.writer import check_output, open_writer
from heliograph.errors import DataError, HeliographError
from heliograph.files import atomic
from heliograph.screen.neighbours import Index

if TYPE_CHECKING:
    from heliograph.chem.kept import Kept
    from heliograph.chem.matched import Analogue
    from heliograph.screen.runner import Progress

GROWN = 4  # atoms, hydrogens counted, by which what a generator grows may differ from its hit
Grow = Callable[["Kept", tuple[int, int], int, int], Iterable[str]]  # what is kept, least and most atoms, samples, seed -> SMILES


class ExpandConfig(BaseModel):
    """Hits, and where their neighbours and analogues come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_path: Path = Field(description="table of hits, such as top.csv of a screening")
    output_path: Path = Field(Path("analogues.csv"), description="where to write them: .csv, .tsv (plain or .gz) or .parquet")
    library: tuple[Path, ...] = Field((), description="tables of molecules to look for neighbours in")
    similar: float = Field(0.5, gt=0, le=1, description="smallest Tanimoto similarity of a neighbour (Morgan 2, 1024 bits)")
    table: Path | None = Field(None, description="table, with labels or without, whose matched pairs and pieces are used")
    target: str | None = Field(None, description="its label: analogues say how it changed where the same was done before")
    ways: tuple[str, ...] = Field(("pairs", "brics"), description="how analogues are made: pairs brics substituents model")
    generator: Path | None = Field(None, description="generator that `--ways model` grows the rest with (default: the shipped one)")
    most: PositiveInt = Field(100, description="results of each kind for each hit, at most")
    first: PositiveInt = Field(100, description="molecules of the table of hits to take, from its top")
    filters: tuple[str, ...] = Field((), description="analogues must pass: pains brenk nih lipinski veber qed>0.5 mw<500 alerts.smarts")
    model_path: Path | None = Field(None, description="model that predicts for them; the table is sorted by its first target")
    goal: str = Field("max", pattern="^(max|min)$", description="max or min: which predictions come first")
    smiles_columns: str | None = Field(None, description="column with the SMILES of the hits (default: 'smiles', else the first)")

    @model_validator(mode="after")
    def _something(self) -> ExpandConfig:
        if unknown := set(self.ways) - {"pairs", "brics", "substituents", "model"}:
            raise ValueError(f"ways are pairs, brics, substituents and model; got {', '.join(sorted(unknown))}")
        if "model" in self.ways:
            return self
        if not self.library and self.table is None:
            raise ValueError("give --library, --table, or --ways model")
        return self


@dataclass(frozen=True)
class Found:
    """One molecule around a hit."""

    parent: str
    made: Analogue


@dataclass(frozen=True)
class Expansion:
    """What was written: molecules by kind, how many the filters turned away, hits that could not be read."""

    kinds: dict[str, int]
    turned_away: dict[str, int]
    bad: int


def expand(config: ExpandConfig, *, grow: Grow | None = None, overwrite: bool = False, progress: Progress | None = None) -> Expansion:
    """Write neighbours and analogues of the hits, each once for each parent. `grow`: samples of a generator, for the way `model`.

    Raises UsageError (the output exists), DataError (no hit can be read), ModelFileError.
    """
    from heliograph.chem.filters import Filters

    check_output(config.output_path, [p for p in (config.data_path, *config.library, config.table) if p is not None], overwrite)
    filters = Filters(config.filters)
    hits, bad = _hits(config)
    found = [*_neighbours(config, hits, progress), *_analogues(config, hits, progress)]
    if grow is not None and "model" in config.ways:
        found += _grown(config, hits, grow, progress)
    turned: Counter[str] = Counter()
    kept = []
    for one in found:
        if why := filters.rejects(one.made.smiles):
            turned[why] += 1
        else:
            kept.append(one)
    _write(config, kept, progress)
    return Expansion(dict(Counter(one.made.how for one in kept)), dict(turned), bad)


def _read(path: Path, column: str | None = None) -> Iterator[str]:
    from heliograph.data.formats import read

    for record in read(path, smiles_column=column, target_columns=()):
        if isinstance(record.structure, str):
            yield record.structure


def _hits(config: ExpandConfig) -> tuple[list[str], int]:
    from heliograph.chem.parse import canonical
    from heliograph.errors import StructureError

    hits: dict[str, None] = {}
    bad = 0
    for text in _read(config.data_path, config.smiles_columns):
        try:
            hits[canonical(text)] = None
        except StructureError:
            bad += 1
        if len(hits) == config.first:
            break
    if not hits:
        raise DataError(f"{config.data_path} has no hit that can be read")
    return list(hits), bad


def _neighbours(config: ExpandConfig, hits: Sequence[str], progress: Progress | None) -> Iterator[Found]:
    from heliograph.chem.matched import Analogue
    from heliograph.chem.parse import canonical

    if not config.library:
        return
    if progress is not None:
        progress.say("fingerprints of the library ...")
    index = Index.build(text for path in config.library for text in _read(path))
    for k, hit in enumerate(hits, 1):
        for text, similarity in index.near(hit, config.similar, config.most + 1):
            if (same := canonical(text)) != hit:
                yield Found(hit, Analogue(same, f"similarity {similarity:.3f}", "neighbour", 1, math.nan))
        if progress is not None:
            progress("neighbours", k, len(hits))


def _analogues(config: ExpandConfig, hits: Sequence[str], progress: Progress | None) -> Iterator[Found]:
    from heliograph.chem import matched

    if config.table is None:
        return
    smiles, y = _labelled(config)
    if progress is not None:
        progress.say(f"pairs and pieces of {len(smiles):,} molecules ...")
    table = matched.Table(smiles, y) if {"pairs", "substituents"} & set(config.ways) else None
    changes = table.changes() if table is not None else {}
    pieces = matched.brics_pieces(smiles) if "brics" in config.ways else {}
    for k, hit in enumerate(hits, 1):
        made: dict[str, Analogue] = {}
        for way in config.ways:
            if way == "model":
                continue
            some = (
                matched.changed(hit, changes, config.most)
                if way == "pairs"
                else matched.recombined(hit, pieces, config.most)
                if way == "brics"
                else matched.substituted(hit, table.substituents if table is not None else {}, config.most)
            )
            for one in some:
                made.setdefault(one.smiles, one)
        yield from (Found(hit, one) for one in made.values())
        if progress is not None:
            progress("analogues", k, len(hits))


def _grown(config: ExpandConfig, hits: Sequence[str], grow: Grow, progress: Progress | None) -> Iterator[Found]:
    """Samples of a generator that keep a part of the hit: `most` draws for each hit, shared by its parts, each molecule once."""
    from heliograph.chem.kept import parts
    from heliograph.chem.matched import Analogue
    from heliograph.chem.parse import canonical

    for k, hit in enumerate(hits, 1):
        times, change = Counter[str](), dict[str, str]()
        try:
            kept = list(parts(hit))[: config.most]
            for n, part in enumerate(kept):
                draws = config.most // len(kept) + (n < config.most % len(kept))
                sizes = max(len(part.atoms.z) + 1, part.whole - GROWN), part.whole + GROWN
                for text in grow(part, sizes, draws, n):
                    if (same := canonical(text)) != hit:
                        times[same] += 1
                        change.setdefault(same, f"kept {part.smiles}")
        except HeliographError as error:  # an element that the generator has never seen, no conformer
            if progress is not None:
                progress.say(f"{hit}: nothing is grown around it: {error}")
        yield from (Found(hit, Analogue(one, change[one], "generated", count, math.nan)) for one, count in times.most_common())
        if progress is not None:
            progress("growing", k, len(hits))


def _labelled(config: ExpandConfig) -> tuple[list[str], np.ndarray | None]:
    """Canonical SMILES of the table, each once, and labels where a target is named."""
    from heliograph.chem.parse import canonical
    from heliograph.data.formats import as_number, read
    from heliograph.errors import StructureError

    assert config.table is not None
    targets = (config.target,) if config.target is not None else ()
    rows: dict[str, float] = {}
    for record in read(config.table, target_columns=targets):
        text = record.structure if isinstance(record.structure, str) else record.meta.get("smiles", "")
        cell = record.targets.get(config.target, "") if config.target is not None else "0"
        value = as_number(cell) if isinstance(cell, str) else cell
        if value is None:
            continue
        try:
            rows.setdefault(canonical(text), float(value))
        except StructureError:
            continue
    if not rows:
        raise DataError(f"{config.table} has no molecule that can be read{' and has a label' if targets else ''}")
    return list(rows), np.array(list(rows.values())) if targets else None


def _write(config: ExpandConfig, found: Sequence[Found], progress: Progress | None) -> None:
    columns = ["smiles", "parent", "kind", "change", "seen", "mean_change"]
    answers: list[list[Any]] = [[] for _ in found]
    order = list(range(len(found)))
    if config.model_path is not None and found:
        from heliograph.predictor.predictor import open as open_model
        from heliograph.predictor.stream import answer_columns, answer_values

        predictor = open_model(config.model_path)
        if progress is not None:
            progress.say(f"predicting for {len(found):,} molecules ...")
        told = predictor.predict_records([one.made.smiles for one in found])
        columns += answer_columns(predictor, columns)[0][:-1]
        answers = [answer_values(told, k, predictor) for k in range(len(found))]
        value = np.nan_to_num(told.y[:, 0] if config.goal == "max" else -told.y[:, 0], nan=-np.inf)
        order = np.argsort(-value, kind="stable").tolist()
    with atomic(config.output_path) as temporary, open_writer(temporary, config.output_path.name, [*columns, "reason"], set()) as writer:
        for k in order:
            one = found[k].made
            mean = "" if math.isnan(one.expected) else f"{one.expected:.6g}"
            cells = [one.smiles, found[k].parent, one.how, one.change, str(one.count), mean]
            writer.row(cells, answers[k], "")
