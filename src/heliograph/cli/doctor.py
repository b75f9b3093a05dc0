"""`heliograph doctor`: what this machine offers, and what is missing, in plain lines."""

from __future__ import annotations

import json
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from heliograph.cli.common import Verbose, guarded, new_app

NEEDED = ("torch", "numba", "numpy", "lightning-fabric", "rdkit", "ase", "pyarrow", "pydantic", "safetensors", "scikit-learn", "scipy")
OPTIONAL = {"tblite": "heliograph label (pip install 'heliograph[xtb]')", "torch_geometric": "to and from PyTorch Geometric ([pyg])",
            "ray": "heliograph compare --ray ([ray])", "optuna": "heliograph compare --tune ([tune])",
            "cuik_molmaker_pin": "SMILES for predict in bulk ([fast])"}  # fmt: skip

app = new_app()


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object, for a bug report or a script")] = False,
    compile: Annotated[bool, typer.Option("--compile", help="compile the kernels now, not at their first use")] = False,
    verbose: Verbose = False,
) -> None:
    """What this machine offers: cores, threads, GPU, versions."""
    with guarded(verbose):
        if compile:
            from heliograph.kernels import compile_all

            compile_all()
        found = examine()
        if as_json:
            print(json.dumps(found, indent=1))
            return
        for group, lines in found.items():
            print(group)
            for name, value in lines.items():
                print(f"  {name:<18} {value}")


def examine() -> dict[str, dict[str, Any]]:
    """All that is reported, as plain values."""
    import torch

    import heliograph

    cache = Path(os.environ.get("HELIOGRAPH_CACHE", Path.home() / ".cache" / "heliograph"))
    machine = {
        "system": platform.platform(),
        "cores": f"{_usable_cores()} usable of {os.cpu_count()}",
        "memory": _memory(),
        "cache folder": f"{cache} ({_free(cache)} free)",
    }
    compute: dict[str, Any] = {
        "torch threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "instructions": ", ".join(_instructions()) or "unknown",
        "kernels": _kernels(),
        "CUDA": "not available: training runs on the CPU",
    }
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        compute["CUDA"] = f"{torch.version.cuda}, {len(names)} device(s): {', '.join(names)}"
    elif torch.version.cuda:
        compute["CUDA"] = f"PyTorch has CUDA {torch.version.cuda}, but there is no usable GPU: training runs on the CPU"
    versions = {"heliograph": heliograph.__version__, "python": platform.python_version()}
    versions |= {name: _version(name) or "MISSING: pip install heliograph again" for name in NEEDED}
    versions |= {name: _version(name) or f"not installed: {what}" for name, what in OPTIONAL.items()}
    if (fast := _version("cuik_molmaker_pin")) and fast != _version("rdkit"):
        versions["cuik_molmaker_pin"] = f"{fast}, not used: it must be of RDKit's version, {_version('rdkit')}"
    return {"machine": machine, "compute": compute, "versions": versions}


def _kernels() -> str:
    """Which kernels run, whether they are compiled, and how they use threads."""
    import torch

    from heliograph import kernels

    if kernels.chosen() == "reference":
        return "reference (plain PyTorch)"
    from heliograph.kernels import compiler, cpu, numbering, splines

    loops = (*cpu.LOOPS, *numbering.LOOPS, *splines.LOOPS)
    ready = sum(compiler.is_compiled(loop) for loop in loops)
    state = "compiled" if ready == len(loops) else f"{ready} of {len(loops)} compiled (--compile does the rest)"
    on_gpu = f"; on the GPU cuda (Triton {_version('triton')})" if torch.cuda.is_available() and _version("triton") else ""
    kept = f"; not kept for later runs: {compiler.unkept}" if compiler.unkept else f"; kept in {compiler.folder}"
    return f"cpu (numba, {compiler.threading_layer()}), {state}{on_gpu}{kept}"


def _instructions() -> list[str]:
    """What the processor has of the instruction sets that matter here."""
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16")
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    flags = next((line.split(":")[1].split() for line in text.splitlines() if line.startswith(("flags", "Features"))), [])
    return [w for w in wanted if w in flags]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    try:
        pages = {name: os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES", "SC_PAGE_SIZE")}
    except (AttributeError, ValueError, OSError):
        return "unknown"
    gib = pages["SC_PAGE_SIZE"] / 2**30
    return f"{pages['SC_PHYS_PAGES'] * gib:.1f} GiB, {pages['SC_AVPHYS_PAGES'] * gib:.1f} GiB free"


def _free(folder: Path) -> str:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return f"{shutil.disk_usage(folder).free / 2**30:.1f} GiB"
