"""What travels to the machines of a cluster and back: text and bytes. Files go by the digest of their content, once to each machine."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from heliograph.compare import evaluations
from heliograph.compare.config import CompareConfig
from heliograph.data import cache
from heliograph.data.formats.shipped import fetched
from heliograph.errors import HeliographError

Files = dict[str, list[Any]]  # digest/name: a handle of the bytes, in a list, so that Ray fetches them only where they are asked for


def pack(config: CompareConfig, put: Callable[[bytes], Any]) -> tuple[str, Files, dict[str, str]]:
    """The configuration with digest/name for the path of each file, the files, and which digest/name stands for which path.

    An evaluation has one CPU there, so it featurizes in its own process and leaves a GPU alone that was not asked for.
    """
    table, column = config.data.data_path, config.data.smiles_columns
    if not table.is_file() and (public := fetched(os.fspath(table))) is not None:
        table, column = public[0], column or public[1]
    files: Files = {}
    places: dict[str, str] = {}
    for path in (str(table), *config.compare.archs):
        if Path(path).is_file():  # else a shipped set, an architecture of the zoo
            content, name = Path(path).read_bytes(), Path(path).name
            places[path] = f"{hashlib.sha256(name.encode() + bytes(1) + content).hexdigest()}/{name}"
            files[places[path]] = [put(content)]
    data = config.data.model_copy(update={"data_path": table, "smiles_columns": column, "num_workers": 0})
    fit = config.fit.model_copy(update={"accelerator": "cpu"} if config.fit.accelerator == "auto" else {})
    there = config.model_copy(update={"data": data, "fit": fit, "output_dir": Path("comparison")})
    return _moved(there, places).model_dump_json(), files, places


def answer(text: str, files: Files, about: str, evaluation: Mapping[str, Any]) -> tuple[str, bytes]:
    """Evaluate on a machine of the cluster; return the line as JSON and the answers. Any error is put into "failed".

    `about`: of the molecules and folds, which must be the same here.
    """
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # what forests take for the number of cores
    torch.set_num_threads(1)
    try:
        local = {place: str(_fetched(place, handle)) for place, (handle,) in files.items()}
        m = evaluations.material(_moved(CompareConfig.model_validate_json(text), local).model_dump_json())
        if json.dumps(evaluations.about(m)) != about:
            raise HeliographError("it makes other molecules or folds of the same table; are the versions of its libraries the same?")
        learner = evaluation["learner"]
        found = evaluations.evaluate(m, evaluations.Evaluation(**{**evaluation, "learner": local.get(learner, learner)}))
    except Exception as error:
        found = {"failed": f"{line(error)} (on {socket.gethostname()})"}
    answers: bytes = found.pop("answers", b"")
    return json.dumps(found), answers


def line(error: Exception) -> str:
    """The line of an error's text that says it: the first, or the last of a traceback from another machine."""
    lines = [one.strip() for one in str(error).splitlines() if one.strip()] or [type(error).__name__]
    return lines[-1 if "ray::" in lines[0] else 0]


def _moved(config: CompareConfig, places: Mapping[str, str]) -> CompareConfig:
    """The configuration with other paths."""
    table, archs = str(config.data.data_path), config.compare.archs
    data = config.data.model_copy(update={"data_path": Path(places.get(table, table))})
    compare = config.compare.model_copy(update={"archs": tuple(places.get(arch, arch) for arch in archs)})
    return config.model_copy(update={"data": data, "compare": compare})


def _fetched(place: str, handle: Any) -> Path:
    """The file of this digest and name, kept in this machine's cache folder."""

    def build(folder: Path) -> None:
        import ray

        content: bytes = ray.get(handle)
        (folder / name).write_bytes(content)

    digest, name = place.split("/")
    return cache.cached(digest, build) / name
