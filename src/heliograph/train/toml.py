"""`config.toml`: the groups of a configuration as tables, written by hand (the standard library only reads TOML)."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from heliograph.errors import DataError
from heliograph.files import atomic
from heliograph.learn import runfolder
from heliograph.train.config import TrainConfig

FILE = runfolder.CONFIG
C = TypeVar("C", bound=BaseModel)


def dump(config: BaseModel) -> str:
    """TOML text; what is None is left out."""
    document = config.model_dump(mode="python")
    groups = {k: v for k, v in document.items() if isinstance(v, dict)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in document.items() if k not in groups and v is not None]
    for name, group in groups.items():
        lines += ["", f"[{name}]", *(f"{_key(k)} = {_value(v)}" for k, v in group.items() if v is not None)]
    return "\n".join(lines) + "\n"


def save(config: BaseModel, folder: Path) -> None:
    """Write the run folder's `config.toml`."""
    with atomic(folder / FILE) as temporary:
        temporary.write_text(dump(config), encoding="utf-8")


def load(folder: Path) -> TrainConfig:
    """Read it back. Raises DataError where it is damaged."""
    return load_as(folder, TrainConfig)


def load_as(folder: Path, kind: type[C]) -> C:
    """Read it back as a configuration of this kind. Raises DataError where it is damaged, or of another kind."""
    path = folder / FILE
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValidationError, ValueError) as error:
        raise DataError(f"{path} can't be read ({str(error).splitlines()[0]}). Start the run again with --overwrite.") from None


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _string(text: str) -> str:
    """JSON's escapes are TOML's, but for the surrogates that stand for bytes outside UTF-8, which TOML can't hold."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return _string(str(value))
