"""What a network makes of a molecule, as numbers for other programs: the mean of its atoms' last
states, or the states themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from heliograph.data.store import Store
from heliograph.data.writer import check_output, open_writer
from heliograph.errors import DataError, UsageError
from heliograph.files import atomic
from heliograph.graph import dense
from heliograph.predictor.predictor import Predictor
from heliograph.predictor.predictor import open as open_model
from heliograph.predictor.probe import Reading, probe

CHUNK = 2048
COLUMNS = ["step", "what", "read", "shuffled", "kinds", "atoms", "reason"]


class EmbedConfig(BaseModel):
    """Whose states, of which molecules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_path: Path = Field(description="a model file, or a run folder")
    data_path: Path = Field(description="table of molecules")
    output_path: Path = Field(description=".csv, .tsv or .parquet: the table with columns e0, e1 ...; .npy: the numbers alone")
    member: int = Field(
        0,
        ge=0,
        description="which network of an ensemble (spaces of two networks have nothing in common)",
    )
    atoms: bool = Field(False, description="a line for each atom instead of one for each molecule (.npy only)")
    probe: bool = Field(False, description="say what a linear map reads off the atoms' states after each step instead (.csv only)")
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else the first)")
    arch: Path | None = Field(None, description="your architecture file, where the model was trained with one")
    num_workers: int = Field(2, ge=0, description="processes that featurize (0: in this one)")


def vectors(predictor: Predictor, store: Store, member: int = 0, atoms: bool = False) -> np.ndarray:
    """Return the mean of the atoms' last states [G, d], float32, or the states [N, d]. Raises
    UsageError where there are none.
    """
    if member >= len(predictor.models):
        raise UsageError(f"--member {member}: the model has {len(predictor.models)} networks, numbered from 0")
    found = []
    model = predictor.models[member].eval()
    for start in range(0, len(store), 256):
        graph = store.batch(np.arange(start, min(start + 256, len(store))))
        with torch.inference_mode():
            states = model.states(graph)
            if "h" not in states.nodes:
                raise UsageError("this architecture keeps no states of atoms to be read")
            h = dense(states.nodes["h"]).float()
            if not atoms:
                members = states.topology.nodes_by_graph
                total = torch.zeros(members.n, h.shape[1]).index_add_(0, members.index, h)
                h = total / members.count.clamp(min=1)[:, None]
        found.append(h.numpy())
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def embed_file(config: EmbedConfig) -> tuple[int, int, int]:
    """Write the vectors of a table's molecules; a row that can't be used has none (NaN in .npy).
    Returns rows, usable ones, and d.
    """
    from heliograph.data.formats import read

    if config.output_path.exists():
        raise UsageError(f"{config.output_path} exists. Give another name with -o.")
    numbers_only = config.output_path.suffix == ".npy"
    if config.atoms and not numbers_only:
        raise UsageError("--atoms writes a line for each atom: give a name that ends in .npy")
    predictor = open_model(config.model_path, config.arch)
    usual = predictor.document.training.get("structure_column")
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=(), usual_column=usual)
    blocks = _blocks(predictor, config)
    first = next(blocks, None)
    if first is None:
        raise DataError(f"{table.name} has no rows")
    rows = usable = 0
    width = first[0].shape[1]
    if numbers_only:
        pieces = []
        for values, reasons, _ in (first, *blocks):
            rows, usable = rows + len(reasons), usable + sum(not r for r in reasons)
            pieces.append(values)
        with atomic(config.output_path) as temporary, open(temporary, "wb") as file:
            np.save(file, np.concatenate(pieces), allow_pickle=False)
        return rows, usable, width
    names = [f"e{k}" for k in range(width)]
    with (
        atomic(config.output_path) as temporary,
        open_writer(temporary, config.output_path.name, [*table.columns, *names, "reason"], set(names)) as writer,
    ):
        for values, reasons, cells in (first, *blocks):
            for line, reason, own in zip(values, reasons, cells, strict=True):
                writer.row(own, [None] * width if reason else [float(v) for v in line], reason)
            rows, usable = rows + len(reasons), usable + sum(not r for r in reasons)
    return rows, usable, width


def probe_file(config: EmbedConfig, most: int = 4 * CHUNK) -> list[Reading]:
    """Read element, bonds, rings and branches off the states of a table's first molecules and write a line for each step and thing.

    Raises UsageError where the output exists or is no .csv, DataError where there are too few molecules.
    """
    from heliograph.chem.pool import featurize_table
    from heliograph.data.formats import read

    if config.atoms or not config.output_path.name.endswith(".csv"):
        raise UsageError("--probe writes a table of its own: give a name that ends in .csv, and no --atoms")
    check_output(config.output_path, [config.model_path, config.data_path], overwrite=False)
    predictor = open_model(config.model_path, config.arch)
    usual = predictor.document.training.get("structure_column")
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=(), usual_column=usual)
    outcomes = featurize_table(islice(table, most), predictor.featurizer, config.num_workers, scaffold=False)
    store = Store.build([molecule for _, molecule, _ in outcomes if molecule is not None], predictor.featurizer)
    found = probe(predictor, store, config.member)
    with (
        atomic(config.output_path, replace=False) as temporary,
        open_writer(temporary, config.output_path.name, COLUMNS, set(COLUMNS[2:])) as writer,
    ):
        for one in found:
            writer.row([one.step, one.what], [one.read, one.shuffled, one.kinds, one.atoms], "")
    return found


def _blocks(predictor: Predictor, config: EmbedConfig) -> Iterator[tuple[np.ndarray, list[str], list[list[str]]]]:
    """Vectors, reasons and the table's cells, some rows at a time; with `atoms`, vectors of atoms
    of the usable rows.
    """
    from heliograph.chem.pool import featurize_table
    from heliograph.data.formats import read

    usual = predictor.document.training.get("structure_column")
    table = read(config.data_path, smiles_column=config.smiles_columns, target_columns=(), usual_column=usual)
    outcomes = iter(featurize_table(iter(table), predictor.featurizer, config.num_workers, scaffold=False))
    width = 0
    while chunk := list(islice(outcomes, CHUNK)):
        good = [k for k, (_, molecule, _) in enumerate(chunk) if molecule is not None]
        molecules = [molecule for _, molecule, _ in chunk if molecule is not None]
        found = np.zeros((0, width), np.float32)
        if good:
            store = Store.build(molecules, predictor.featurizer)
            found = vectors(predictor, store, config.member, config.atoms)
            width = found.shape[1]
        if not config.atoms:
            whole = np.full((len(chunk), width), np.nan, np.float32)
            whole[good] = found
            found = whole
        reasons = [reason for _, _, reason in chunk]
        yield (
            found,
            reasons,
            [[record.meta.get(column, "") for column in table.columns] for record, _, _ in chunk],
        )
