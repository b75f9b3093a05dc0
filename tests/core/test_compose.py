"""Compositions of parts: the same network as by hand, carried by the model file, and a clear word for every mistake."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from heliograph import compose, segment, zoo
from heliograph.blocks import GRU, Embed, GraphNorm, Head, Pool
from heliograph.errors import UsageError
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import Concatenate, RandomWalks
from heliograph.zoo import gin
from tests.graphs import ATOMS, BONDS, DTYPE, awkward

TEXT = """
description = "GIN's message, the largest one, a GRU"
view = ["RandomWalks(8)", "Concatenate('walks')"]
embed = "Embed(nodes + 8, d)"
readout = "Pool(Head(d, out), mean)"

[arguments]
d = 6
depth = 3

[[layers]]
repeat = "depth"
message = "gin.Message(edges, d)"
aggregate = "max"
update = "GRU(d)"
after = ["GraphNorm(d)"]
"""


def by_hand(inputs: Inputs, out: int, d: int = 6, depth: int = 3) -> MPNN:
    view = torch.nn.Sequential(RandomWalks(8), Concatenate("walks"))
    embed, readout = Embed(inputs.nodes + 8, d), Pool(Head(d, out), segment.mean)
    steps = [s for _ in range(depth) for s in (Layer(gin.Message(inputs.edges, d), GRU(d), segment.max), GraphNorm(d))]
    return MPNN(embed, steps, readout, view=view)


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_is_the_network_written_by_hand(tmp_path: Path) -> None:
    inputs, graph = Inputs(ATOMS, BONDS), awkward()
    composed = zoo.build(written(tmp_path, TEXT), inputs, 2, {"depth": 2}).to(DTYPE)
    plain = by_hand(inputs, 2, depth=2).to(DTYPE)
    plain.load_state_dict(composed.state_dict())
    assert torch.equal(composed(graph)["y"], plain(graph)["y"]) and composed.training
    assert composed(graph)["y"].shape == (graph.G, 2)
    assert zoo.build(tomllib.loads(TEXT), inputs, 1, level="node").to(DTYPE)(graph)["y"].shape == (graph.N, 1)


def test_ties_weights_and_knows_the_number_of_a_repetition(tmp_path: Path) -> None:
    text = """
    embed = "gcn2.Embed(nodes, 4)"
    readout = "Pool(Head(4, out), aggregate=mean)"
    [[layers]]
    repeat = 2
    tied = true
    message = "Propagate()"
    update = "gcn2.Update(4, 0.1, k * 0.5, 0.0)"
    [[layers]]
    repeat = 2
    before = "OnStates(Sequential(LayerNorm(4), ReLU()))"
    message = "Propagate()"
    update = "gcn2.Update(4, 0.1, k * 0.5, 0.0)"
    """
    net = zoo.build(written(tmp_path, text), Inputs(ATOMS, BONDS), 1)
    layers: list[Any] = list(net.layers)
    assert len(layers) == 2 + 4 and layers[0] is layers[1] and layers[3] is not layers[5]
    assert [layers[n].update.beta for n in (0, 3, 5)] == [0.5, 0.5, 1.0]


GOOD = {"embed": "Embed(nodes, 4)", "readout": "Pool(Head(4, out))", "layers": [{"message": "gin.Message(edges, 4)", "update": "GRU(4)"}]}
LAYER = GOOD["layers"][0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"embeding": "x"}, "there is no 'embeding'; did you mean 'embed'?"),
        ({"embed": None}, "has no 'embed'; a composition needs embed, [[layers]] and readout"),
        ({"embed": "Embd(nodes, 4)"}, "there is no part 'Embd': did you mean 'Embed'?"),
        ({"embed": "Embed(nodes)"}, "missing 1 required positional argument: 'd'; it is Embed(d_node"),
        ({"embed": "Embed(nodes, 4"}, "embed = 'Embed(nodes, 4': is no expression"),
        ({"embed": "Embed"}, "makes no module; write a part with its arguments"),
        ({"embed": "__import__('os').system('true')"}, "is not allowed here"),
        ({"embed": "[x for x in (1, 2)]"}, "is not allowed here"),
        ({"embed": "Embed(nodes, 2 ** 9)"}, "is not allowed here"),
        ({"embed": "Embed(nodes, 'a' * 4)"}, "can't calculate with 'a'"),
        ({"embed": "gin.nn"}, "gin has no part 'nn'"),
        ({"embed": "os.system"}, "there is no architecture 'os'"),
        ({"embed": "Embed.forward(1)"}, "there is no architecture 'Embed'"),
        ({"readout": "Pool(Head(5, out))"}, "parts don't fit together: mat1 and mat2 shapes cannot be multiplied"),
        ({"layers": [{**LAYER, "update": "gps.Update(4, 0.0)"}]}, "no message 'near'"),
        ({"layers": [{**LAYER, "aggregate": "sum(3)"}]}, "sum takes no arguments"),
        ({"layers": [{**LAYER, "agregate": "sum"}]}, "[[layers]] 1: there is no 'agregate'; did you mean 'aggregate'?"),
        ({"layers": [{"message": "gin.Message(edges, 4)"}]}, "a message needs an update"),
        ({"layers": "gin"}, "layers must be tables"),
        ({"geometry": "maybe"}, "geometry is one of none, optional, required"),
        ({"arguments": {"out": 3}}, "'out' can't be one of its [arguments]"),
    ],
)
def test_mistakes_are_told(change: dict[str, Any], says: str) -> None:
    spec = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with pytest.raises(UsageError, match=re.escape(says)):
        zoo.build(spec, Inputs(ATOMS, BONDS), 1)
    assert isinstance(zoo.build(GOOD, Inputs(ATOMS, BONDS), 1), MPNN)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml is no TOML"):
        zoo.load(written(tmp_path, "embed = "))
    with pytest.raises(UsageError, match="No such file"):
        zoo.load(str(tmp_path / "absent.toml"))
    with pytest.raises(UsageError, match="has no argument 'e'"):
        zoo.build(written(tmp_path, TEXT), Inputs(ATOMS, BONDS), 1, {"e": 1})


def test_jk_goes_around_names_only(tmp_path: Path) -> None:
    """Its `of` comes out of model files, so a path must not be run."""
    mine = tmp_path / "mine.py"
    ran = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
    mine.write_text(f"{ran}from heliograph.zoo.gcn import *\nfrom heliograph.zoo.gcn import build\n")
    with pytest.raises(UsageError, match="jk goes around an architecture of the zoo"):
        zoo.build("jk", Inputs(ATOMS, BONDS), 1, {"of": str(mine)})
    assert not (tmp_path / "ran").exists()


def test_can_name_parts_only() -> None:
    """Whatever a stranger's file names is a module of ours or of torch's short list, an aggregation, or a function of blocks and views."""
    for name in ("eval", "open", "exec", "Module", "Inputs", "compose", "__class__", "torch"):
        with pytest.raises(UsageError, match="there is no part"):
            compose.part(name)
    for file, name in (("gin", "torch"), ("gin", "build"), ("gin", "Layer"), ("..os", "system"), ("__init__", "importlib")):
        with pytest.raises(UsageError):
            zoo.part(file, name)
