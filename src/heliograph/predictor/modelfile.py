"""The model file: one safetensors file, the weights of all members and, in its metadata, one JSON document that says everything else.

The metadata has one key, `heliograph`. Nothing in the file is code, and loading resolves an architecture among the files of
`heliograph.zoo`, and the parts of a composition among those and `heliograph.compose`'s list, only. Two SHA-256 sums, one of the
document and one of the tensors, tell when a byte has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from heliograph.errors import DataError, ModelFileError
from heliograph.files import atomic
from heliograph.learn import state

FORMAT_VERSION = 2
KEY = "heliograph"


@dataclass(frozen=True)
class Document:
    """What a model file says beside its weights; plain JSON data throughout.

    `kind`: what the network is asked about ("molecules", "structures", "graph"), and so which predictor reads the file.
    `arch`: a name of the zoo, or the stem of a file of one's own: with `arch_source` {"file", "sha256"} of Python, with `arch_composition`
    what the TOML file says (`heliograph.compose`). `inputs`: `heliograph.model.Inputs`.
    `outputs`: name -> {"level": "graph" | "node" | "edge" | "pair", "task": `learn.task.Task`, "scaling": `learn.scale.Scaling`}.
    `parts`: all that turns a question into a graph, by name; for molecules {"featurizer": ...}.
    `training`: what all members share; `members`: each member's summary. `calibration` and `domain`: how far the answers may be off, and
    what training's data looked like (empty: nothing recorded); calibration's "residual_std" is the validation error's standard deviation
    per target of "y", in the target's unit.
    """

    kind: str
    arch: str
    arch_args: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, dict[str, Any]]
    parts: dict[str, Any]
    arch_source: dict[str, str] | None = None
    arch_composition: dict[str, Any] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    members: list[dict[str, Any]] = field(default_factory=list)
    calibration: dict[str, Any] = field(default_factory=dict)
    domain: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_molecules(
        cls,
        arch: str,
        arch_args: dict[str, Any],
        inputs: dict[str, Any],
        featurizer: dict[str, Any],
        task: dict[str, Any],
        scaling: dict[str, Any],
        **rest: Any,
    ) -> Document:
        """Return the document of a network with one output "y" of molecules."""
        outputs = {"y": {"level": "graph", "task": task, "scaling": scaling}}
        return cls("molecules", arch, arch_args, inputs, outputs, {"featurizer": featurizer}, **rest)


def write(path: str | os.PathLike[str], document: Document, members: Sequence[Mapping[str, Tensor]]) -> None:
    """Write a model file with the tensors of all members, whole or not at all."""
    from safetensors.torch import save_file

    named = {f"member.{k}.{name}": tensor for k, tensors in enumerate(members) for name, tensor in tensors.items()}
    plain = {name: t.detach().to("cpu").contiguous().clone() for name, t in sorted(named.items())}
    text = {"format_version": FORMAT_VERSION} | asdict(document)
    text["sha256"] = {"document": _sum_of_document(text), "tensors": _sum_of_tensors(plain)}
    with atomic(path) as temporary:
        save_file(plain, temporary, metadata={KEY: json.dumps(text, sort_keys=True)})


def read(path: str | os.PathLike[str]) -> tuple[Document, list[dict[str, Tensor]]]:
    """Document and each member's tensors of a model file of any released format.

    Raises ModelFileError where it is missing, truncated, damaged, not ours, or written by a later version.
    """
    try:
        return _read(Path(path))
    except ModelFileError:
        raise
    except Exception as error:  # a document of any form: whatever it breaks, the file is the cause
        why = f"{type(error).__name__}: {error}"[:200]
        raise ModelFileError(f"{path} is damaged: its document does not have the form of one ({why}). Copy it again.") from error


def _read(path: Path) -> tuple[Document, list[dict[str, Tensor]]]:
    text, tensors = _open(path)
    version = text.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise ModelFileError(f"{path} is damaged: its document has no format version. Copy it again, or train again.")
    if version > FORMAT_VERSION:
        by = text.get("versions", {}).get("heliograph", "a later version")
        raise ModelFileError(
            f"{path} has format {version}, written by heliograph {by}; this version reads up to format {FORMAT_VERSION}. "
            "Update with: pip install -U heliograph"
        )
    sums = text.get("sha256", {})
    for part, found in (("document", _sum_of_document(text)), ("tensors", _sum_of_tensors(tensors))):
        if sums.get(part) != found:
            wanted = str(sums.get(part))[:12]
            raise ModelFileError(f"{path} is damaged: SHA-256 of its {part} is {found[:12]}..., the file says {wanted}.... Copy it again.")
    plain = {k: v for k, v in text.items() if k not in ("format_version", "sha256")}
    try:
        if version == 1:
            return _of_format_1(**plain), [tensors]
        return Document(**plain), _members(tensors)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{path} has a document that does not fit format {version}: {error}") from None


def _of_format_1(*, featurizer: dict[str, Any], task: dict[str, Any], scaling: dict[str, Any], **rest: Any) -> Document:
    """One network with one output of molecules; its training summary is its own member's."""
    training = rest.pop("training", {})
    return Document.of_molecules(featurizer=featurizer, task=task, scaling=scaling, members=[training], training=training, **rest)


def _members(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Tensors by member. Raises ValueError where names are not `member.K.NAME` with K from 0 on."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"member\.(\d{1,6})\.(.+)", name)
        if match is None:
            raise ValueError(f"a tensor is called {name[:60]!r}")
        found.setdefault(int(match[1]), {})[match[2]] = tensor
    if sorted(found) != list(range(len(found))):
        raise ValueError(f"its members are {sorted(found)[:5]}")
    return [found[k] for k in sorted(found)]


def _open(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        what = "a folder without a model in it" if path.is_dir() else "no such file"
        raise ModelFileError(f"model file {path}: {what}. Give a NAME.safetensors of heliograph, or a run folder.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())} if KEY in metadata else {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(_unreadable(path, str(error))) from None
    if KEY not in metadata:
        raise ModelFileError(
            f"{path} is a safetensors file, but not one of heliograph's: its metadata has no {KEY!r}. Was it made by another program?"
        )
    try:
        text = json.loads(metadata[KEY])
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: its document is not JSON ({error}). Copy it again.") from None
    if not isinstance(text, dict):
        raise ModelFileError(f"{path} is damaged: its document is a {type(text).__name__}. Copy it again.")
    return text, tensors


def _unreadable(path: Path, why: str) -> str:
    """Truncated, or no safetensors file at all: its first eight bytes tell."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(4096)
    header = int.from_bytes(start[:8], "little")
    if size >= 9 and start[8:9] == b"{" and (KEY.encode() in start or b"__metadata__" in start or header + 8 > size):
        return f"{path} is truncated or damaged ({size} bytes; {why}). Copy it again from where it came."
    if size < 9:
        return f"{path} is truncated: it has {size} bytes. Copy it again from where it came."
    kind = "a zip archive, as torch.save writes (pickle is never loaded)" if start[:2] == b"PK" else "not a safetensors file"
    return f"{path} is not a model file of heliograph: it is {kind}. Give a NAME.safetensors that `heliograph train` wrote."


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Copy tensors into a module built for them. Raises ModelFileError where names or shapes don't fit."""
    try:
        state.fill(module, tensors)
    except DataError as error:
        raise ModelFileError(f"the weights in {path} don't fit the architecture ({error}). Was its source changed since?") from None


def _sum_of_document(text: Mapping[str, Any]) -> str:
    plain = json.dumps({k: v for k, v in text.items() if k != "sha256"}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()


def _sum_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Over names, types, shapes and bytes, in the order of the names."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return total.hexdigest()
