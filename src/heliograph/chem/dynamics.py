"""Molecular dynamics with any ASE calculator, by ASE's integrators, in a folder from which it can go on bit for bit.

The folder has `trajectory.extxyz`, `log.csv` and `state.npz`. The state is positions, momenta, the random generator and how long the
two files were; forces follow from the positions.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary, ZeroRotation
from ase.md.verlet import VelocityVerlet

from heliograph import manifest
from heliograph.chem.ase_frames import from_atoms
from heliograph.data.frames import Frame, text_of
from heliograph.errors import DataError, HeliographError, UsageError
from heliograph.files import atomic
from heliograph.manifest import Kind

STATE, LOG, TRAJECTORY = "state.npz", "log.csv", "trajectory.extxyz"
NAMES = (STATE, LOG, TRAJECTORY)
RUN = Kind("a run of dynamics", re.compile(r"state\.npz|log\.csv|trajectory\.extxyz"))
HEADER = "step,time_ps,potential_ev,kinetic_ev,total_ev,temperature_k\n"
SAVE_EVERY = 30.0  # seconds


@dataclass(frozen=True)
class Settings:
    """`ensemble`: "nve" (velocity Verlet) or "nvt" (Langevin). Times in fs, temperature in K, `friction` in 1/ps; `every`: steps between
    two frames of the trajectory.
    """

    ensemble: Literal["nve", "nvt"] = "nve"
    temperature: float = 300.0
    timestep: float = 0.5
    steps: int = 1000
    friction: float = 10.0
    every: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Summary:
    """`drift`: slope of the total energy in meV/atom/ps (NVE); `temperature`: its mean in K; `seconds` of this call."""

    steps: int
    drift: float
    temperature: float
    seconds: float


class _Normal:
    """The generator as ASE's integrators ask for one."""

    def __init__(self, seed: int):
        self.generator = np.random.Generator(np.random.PCG64(seed))

    def standard_normal(self, size: Any = None) -> Any:
        return self.generator.standard_normal(size)


def simulate(
    atoms: Any, settings: Settings, folder: Path, *, resume: bool = False, overwrite: bool = False,
    progress: Callable[[str, int, int | None, str], object] | None = None,
) -> Summary:  # fmt: skip
    """Move `atoms` (with a calculator) for `settings.steps` steps; frames, energies and state go to `folder`.

    `resume` goes on where a killed run stood, or for longer. Raises UsageError where a run is there already or was of other settings,
    DataError where its state can't be read, HeliographError where the structure flies apart.
    """
    rng = _Normal(settings.seed)
    done, sizes = _begin(atoms, settings, folder, rng, resume, overwrite)
    dynamics = _integrator(atoms, settings, rng)
    started = saved = time.monotonic()
    with (
        open(folder / TRAJECTORY, "a", encoding="utf-8") as frames,
        open(folder / LOG, "a", encoding="utf-8") as log,
    ):
        if not done and not sizes:
            log.write(HEADER)
            _write(atoms, 0, settings, frames, log)
        forces = atoms.get_forces(md=True)
        for step in range(done + 1, settings.steps + 1):
            forces = dynamics.step(forces)
            if not np.isfinite(forces).all() or np.abs(forces).max() > 1e4:
                raise HeliographError(
                    f"the structure flew apart at step {step}: a force is {np.abs(forces).max():.3g} eV/A. Try a smaller --timestep; "
                    "or the potential knows no such structures: train it on more of them."
                )
            if step % settings.every == 0 or step == settings.steps:
                _write(atoms, step, settings, frames, log)
            now = time.monotonic()
            if now - saved > SAVE_EVERY or step == settings.steps:
                frames.flush()
                log.flush()
                _save(atoms, settings, folder, rng, step)
                saved = now
            if progress is not None:
                rate = (step - done) * settings.timestep * 1e-6 / max(now - started, 1e-9) * 86400
                progress("dynamics", step, settings.steps, f"{rate:.3g} ns/day")
    manifest.seal(folder)
    drift, temperature = analysed(folder, len(atoms))
    return Summary(settings.steps, drift, temperature, time.monotonic() - started)


def analysed(folder: Path, n: int) -> tuple[float, float]:
    """Return the drift of the total energy [meV/atom/ps] by a straight line through log.csv, and the mean temperature [K]."""
    table = np.loadtxt(folder / LOG, delimiter=",", skiprows=1, ndmin=2)
    slope = np.polyfit(table[:, 1], table[:, 4], 1)[0] if len(table) > 2 else np.nan
    return 1e3 * float(slope) / n, float(table[:, 5].mean())


def _integrator(atoms: Any, settings: Settings, rng: _Normal) -> Any:
    dt = settings.timestep * units.fs
    if settings.ensemble == "nve":
        return VelocityVerlet(atoms, timestep=dt)
    friction = settings.friction / (1000 * units.fs)
    return Langevin(
        atoms,
        timestep=dt,
        temperature_K=settings.temperature,
        friction=friction,
        rng=rng,
        fixcm=False,
    )


def _begin(atoms: Any, settings: Settings, folder: Path, rng: _Normal, resume: bool, overwrite: bool) -> tuple[int, bool]:
    """Set positions and momenta. Returns the steps that are done, and whether files are there already."""
    files = manifest.held(folder, RUN)
    if resume and files is not None and (folder / STATE).is_file():
        manifest.claim(folder, RUN, NAMES, replace=False)
        return _restore(atoms, settings, folder, rng), True
    if not overwrite and any((folder / name).exists() for name in files or ()):
        choice = "--resume goes on with it, --overwrite replaces it, or choose another with -o"
        raise UsageError(f"{folder} holds a run already: {choice}.")
    manifest.claim(folder, RUN, NAMES, replace=True)
    width = np.sqrt(atoms.get_masses() * units.kB * settings.temperature)  # Maxwell and Boltzmann's
    atoms.set_momenta(rng.standard_normal((len(atoms), 3)) * width[:, None])
    if len(atoms) > 1:
        Stationary(atoms)
        if not any(atoms.pbc) and len(atoms) > 2:
            ZeroRotation(atoms)
    _save(atoms, settings, folder, rng, 0)
    return 0, False


def _save(atoms: Any, settings: Settings, folder: Path, rng: _Normal, step: int) -> None:
    sizes = {name: (folder / name).stat().st_size if (folder / name).exists() else 0 for name in (LOG, TRAJECTORY)}
    about = {
        "step": step,
        "sizes": sizes,
        "settings": asdict(settings),
        "rng": rng.generator.bit_generator.state,
    }
    with atomic(folder / STATE) as temporary, open(temporary, "wb") as file:
        np.savez(
            file, z=atoms.numbers, positions=atoms.positions, momenta=atoms.get_momenta(), cell=atoms.cell.array, pbc=atoms.pbc,
            about=np.array(json.dumps(about)),
        )  # fmt: skip


def _restore(atoms: Any, settings: Settings, folder: Path, rng: _Normal) -> int:
    try:
        with np.load(folder / STATE, allow_pickle=False) as state:
            about = json.loads(str(state["about"]))
            arrays = {name: state[name] for name in ("z", "positions", "momenta", "cell", "pbc")}
        before, sizes = Settings(**about["settings"]), about["sizes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / STATE} can't be read ({error}). Start the run again with --overwrite.") from None
    for name, value in asdict(settings).items():
        if name != "steps" and value != getattr(before, name):
            raise UsageError(f"--resume goes on as the run was begun, but --{name} was {getattr(before, name)}, is {value}.")
    if not np.array_equal(arrays["z"], atoms.numbers):
        raise UsageError("--resume: the run in this folder is of another structure.")
    for name, size in sizes.items():
        if (folder / name).exists():
            os.truncate(folder / name, size)
    atoms.set_cell(arrays["cell"])
    atoms.set_pbc(arrays["pbc"])
    atoms.set_positions(arrays["positions"], apply_constraint=False)
    atoms.set_momenta(arrays["momenta"], apply_constraint=False)
    rng.generator.bit_generator.state = about["rng"]
    return int(about["step"])


def _write(atoms: Any, step: int, settings: Settings, frames: Any, log: Any) -> None:
    potential, kinetic = atoms.get_potential_energy(), atoms.get_kinetic_energy()
    picoseconds = step * settings.timestep * 1e-3
    temperature = kinetic / (1.5 * len(atoms) * units.kB)
    log.write(f"{step},{picoseconds:.6g},{potential:.12g},{kinetic:.12g},{potential + kinetic:.12g},{temperature:.6g}\n")
    bare = from_atoms(atoms)
    info = {"step": step, "time_ps": picoseconds, "energy": potential}
    arrays = {"forces": atoms.calc.results["forces"], "momenta": atoms.get_momenta()}
    frames.write(text_of(Frame(bare.z, bare.pos, bare.cell, bare.pbc, info, arrays)))
