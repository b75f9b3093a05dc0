"""Using a potential on files: predict, relax, move."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from heliograph.chem.reasons import kind
from heliograph.data import frames
from heliograph.data.frames import Frame
from heliograph.data.writer import check_output
from heliograph.errors import DataError, HeliographError, StructureError, UsageError
from heliograph.files import atomic
from heliograph.learn.config import Group
from heliograph.learn.progress import Progress
from heliograph.potential.calculator import Calculator
from heliograph.potential.judging import batches
from heliograph.potential.potential import Answer, Potential

if TYPE_CHECKING:
    from heliograph.chem.dynamics import Summary as MDSummary

_TIME = re.compile(r"(\d+(?:\.\d*)?)\s*(fs|ps|ns)")
_FS = {"fs": 1.0, "ps": 1e3, "ns": 1e6}
LABELS = ("energy", "forces", "stress")


class MDConfig(Group):
    """Molecular dynamics; the options of `heliograph md` are these fields."""

    output_dir: Path = Field(default=Path("md"), description="folder for trajectory.extxyz, log.csv and state.npz")
    ensemble: Literal["nve", "nvt"] = Field(default="nve", description="nve: velocity Verlet; nvt: Langevin")
    temperature: PositiveFloat = Field(default=300.0, description="kelvin: of the first velocities and of the thermostat")
    time: str = Field(default="1ps", description="how long: 500fs, 10ps, 1ns")
    timestep: PositiveFloat = Field(default=0.5, description="femtoseconds")
    friction: PositiveFloat = Field(default=10.0, description="of the thermostat, in 1/ps")
    every: PositiveInt = Field(default=100, description="steps between two frames of the trajectory")
    seed: int = Field(default=0, ge=0, description="velocities and the thermostat follow from it")
    dtype: Literal["float32", "float64"] = Field(default="float32", description="precision of the network; positions are float64")


class RelaxConfig(Group):
    """Relaxation; the options of `heliograph relax` are these fields."""

    output_path: Path = Field(
        default=Path("relaxed.extxyz"),
        description="where to write the relaxed structures, as extended XYZ",
    )
    cell: bool = Field(default=False, description="relax the cell too")
    fmax: PositiveFloat = Field(default=0.01, description="largest force that may remain, eV/A")
    max_steps: PositiveInt = Field(default=500, description="steps at most for each structure")
    dtype: Literal["float32", "float64"] = Field(default="float64", description="precision of the network")


@dataclass(frozen=True)
class Summary:
    """What became of the frames. `reasons`: kind of reason -> frames."""

    frames: int
    done: int
    reasons: dict[str, int]
    seconds: float


def predict(
    potential: Potential,
    data: Path,
    output: Path,
    batch_size: int,
    overwrite: bool,
    progress: Progress,
) -> Summary:
    """Write all frames of `data` to `output` with energy, forces and stress; their own labels stay as REF_energy, REF_forces, REF_stress.

    Every frame keeps its place: one that can't be used comes with a `reason`, without atoms where it could not be read. Frames stream
    through. Raises UsageError where the output exists, DataError where the input can't be read or no frame could be used.
    """
    check_output(output, [data], overwrite)
    if not output.name.endswith(frames.XYZ):
        raise UsageError(f"{output.name}: frames are written as .extxyz or .xyz; give such a name with -o.")
    started, n, reasons = time.monotonic(), 0, Counter[str]()
    with (
        atomic(output) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        for batch in batches(frames.read(data), batch_size):
            for frame, answer in zip(batch, potential(batch, batch_size), strict=True):
                file.write(frames.text_of(labelled(frame, answer)))
                if answer.reason:
                    reasons[kind(answer.reason)] += 1
            n += len(batch)
            progress("predicting", n)
    if not n or sum(reasons.values()) == n:
        raise DataError(f"{data}: none of its {n} frames can be used ({', '.join(reasons) or 'it is empty'})")
    return Summary(n, n - sum(reasons.values()), dict(reasons.most_common()), time.monotonic() - started)


def labelled(frame: Frame, answer: Answer) -> Frame:
    """Return the frame with an answer as its labels, and its own labels as REF_..."""
    own = (*LABELS, *answer.properties)
    info = {(f"REF_{k}" if k in own else k): v for k, v in frame.info.items()}
    arrays = {(f"REF_{k}" if k in own else k): v for k, v in frame.arrays.items()}
    if answer.reason:
        where = f", {frame.where}" if frame.where else ""
        return replace(frame, info=info | {"reason": answer.reason + where}, arrays=arrays)
    for name, value in answer.properties.items():
        (arrays if np.shape(value) == (len(frame.z),) and name in answer.of_atoms else info)[name] = value
    if answer.forces is None:
        return replace(frame, info=info, arrays=arrays)
    assert answer.stress is not None and answer.members is not None
    info |= {"energy": answer.energy}
    if all(frame.pbc):
        info["stress"] = answer.stress
    arrays |= {"forces": answer.forces}
    if len(answer.members) > 1:
        info |= {"energy_std": answer.energy_std}
        arrays |= {"forces_std": np.asarray(answer.forces_std)}
    return replace(frame, info=info, arrays=arrays)


def relax(potential: Potential, data: Path, config: RelaxConfig, overwrite: bool, progress: Progress) -> Summary:
    """Relax every frame of `data`. `converged`, `steps` and a `reason` where it could not be used stand in the comment."""
    from heliograph.chem import relaxation

    output = config.output_path
    check_output(output, [data], overwrite)
    calculator = Calculator(potential, config.dtype)
    started, n, reasons = time.monotonic(), 0, Counter[str]()
    with (
        atomic(output) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file,
    ):
        for frame in frames.read(data):
            n += 1
            file.write(frames.text_of(_relaxed(frame, potential, calculator, config, reasons, relaxation)))
            progress("relaxing", n)
    if not n or sum(v for k, v in reasons.items() if k != "not converged") == n:
        raise DataError(f"{data}: none of its {n} frames can be used ({', '.join(reasons) or 'it is empty'})")
    return Summary(n, n - sum(reasons.values()), dict(reasons.most_common()), time.monotonic() - started)


def _relaxed(
    frame: Frame,
    potential: Potential,
    calculator: Any,
    config: RelaxConfig,
    reasons: Counter[str],
    relaxation: Any,
) -> Frame:
    reason = frame.reason
    if not reason:
        try:
            atoms = relaxation.to_atoms(frame)
            atoms.calc = calculator
            found = relaxation.relax(atoms, config.fmax, config.max_steps, config.cell)
        except StructureError as error:
            reason = str(error)
    if reason:
        reasons[kind(reason)] += 1
        return replace(frame, info=dict(frame.info) | {"reason": reason})
    if not found.converged:
        reasons["not converged"] += 1
    cell = None if frame.cell is None else atoms.cell.array
    moved = replace(frame, pos=atoms.positions, cell=cell)
    done = labelled(moved, potential([moved])[0])
    return replace(done, info=dict(done.info) | {"converged": found.converged, "steps": found.steps})


def md(
    potential: Potential,
    start: Path,
    config: MDConfig,
    resume: bool,
    overwrite: bool,
    progress: Any,
) -> MDSummary:
    """Move the first frame of `start`. Raises as `heliograph.chem.dynamics.run`."""
    from heliograph.chem import dynamics, relaxation

    frame = next(frames.read(start), None)
    if frame is None or frame.reason:
        raise DataError(f"{start}: {'no frame' if frame is None else frame.reason}")
    atoms = relaxation.to_atoms(frame)
    atoms.calc = Calculator(potential, config.dtype)
    settings = dynamics.Settings(
        config.ensemble,
        config.temperature,
        config.timestep,
        steps_of(config.time, config.timestep),
        config.friction,
        config.every,
        config.seed,
    )
    try:
        return dynamics.simulate(
            atoms,
            settings,
            config.output_dir,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    except StructureError as error:
        raise HeliographError(f"the structure can't be used: {error}") from None


def steps_of(text: str, timestep: float) -> int:
    """Return the number of steps in a time like 500fs, 10ps, 1ns. Raises UsageError."""
    found = _TIME.fullmatch(text.strip().lower())
    if not found or float(found[1]) <= 0:
        raise UsageError(f"--time {text}: expected a time with its unit, like 500fs, 10ps or 1ns")
    return max(1, round(float(found[1]) * _FS[found[2]] / timestep))
