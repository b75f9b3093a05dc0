"""The messages between the pool and its workers: a length, then JSON or packed arrays. Reading one never runs code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Union

import numpy as np
from safetensors.numpy import load, save

from heliograph.data.record import Geometry, MolBlock, Structure

if TYPE_CHECKING:
    from heliograph.chem.molecule import Molecule

Result = Union["Molecule", str, None]  # a molecule, the reason why there is none, or None for a row without a structure
MOST_BYTES = 2**31  # more than that is no length
_ARRAYS = ("z", "x", "bonds", "e", "pos")  # of a molecule; one row an atom, or a bond


def send(stream: IO[bytes], frame: bytes) -> None:
    stream.write(len(frame).to_bytes(8, "little"))
    stream.write(frame)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes:
    """The next frame. Raises EOFError where the stream ends before it does, ValueError where there is none."""
    size = int.from_bytes(_exactly(stream, 8), "little")
    if size > MOST_BYTES:
        raise ValueError("not a frame")
    return _exactly(stream, size)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def request(structures: Sequence[Structure | None], one_by_one: bool) -> bytes:
    """What a worker is asked to featurize: a chunk, or each structure of it on its own."""
    return json.dumps([one_by_one, [_plain(s) for s in structures]]).encode()


def requested(frame: bytes) -> tuple[list[Structure | None], bool]:
    """What `request` was made of."""
    one_by_one, structures = json.loads(frame)
    return [_structure(s) for s in structures], one_by_one


def _plain(structure: Structure | None) -> Any:
    if isinstance(structure, MolBlock):
        return {"block": structure.text}
    if isinstance(structure, Geometry):
        cell = None if structure.cell is None else structure.cell.tolist()
        return {"z": structure.z.tolist(), "pos": structure.pos.tolist(), "charge": structure.charge, "cell": cell, "pbc": structure.pbc}
    return structure


def _structure(plain: Any) -> Structure | None:
    if not isinstance(plain, dict):
        return None if plain is None else str(plain)
    if "block" in plain:
        return MolBlock(plain["block"])
    pos, cell = np.array(plain["pos"], np.float64).reshape(-1, 3), plain["cell"]
    return Geometry(
        z=np.array(plain["z"], np.uint8),
        pos=pos,
        charge=plain["charge"],
        cell=None if cell is None else np.array(cell, np.float64),
        pbc=tuple(plain["pbc"]),
    )


def answer(results: Sequence[Result]) -> bytes:
    """What became of the structures, arrays of all molecules one after the other."""
    molecules = [r for r in results if r is not None and not isinstance(r, str)]
    texts = [r if r is None or isinstance(r, str) else [r.smiles, r.scaffold] for r in results]
    arrays = {"texts": np.frombuffer(json.dumps(texts).encode(), np.uint8)}
    if molecules:
        arrays["sizes"] = np.array([(len(m.z), len(m.bonds)) for m in molecules], np.int64)
        names = [name for name in _ARRAYS if getattr(molecules[0], name) is not None]
        arrays |= {name: np.concatenate([getattr(m, name) for m in molecules]) for name in names}
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def answered(frame: bytes) -> list[Result]:
    """What `answer` was made of. Raises ValueError or SafetensorError where it can't be."""
    from heliograph.chem.molecule import Molecule

    arrays = load(frame)
    texts = json.loads(arrays["texts"].tobytes())
    ends = iter(np.cumsum(arrays["sizes"], 0).tolist() if "sizes" in arrays else ())
    z, x, bonds, e, pos = (arrays.get(name) for name in _ARRAYS)
    results: list[Result] = []
    a = b = 0
    for text in texts:
        if not isinstance(text, list):
            results.append(text)
            continue
        to_a, to_b = next(ends)
        results.append(Molecule(z[a:to_a], x[a:to_a], bonds[b:to_b], e[b:to_b], None if pos is None else pos[a:to_a], *text))  # type: ignore[index]
        a, b = to_a, to_b
    return results
