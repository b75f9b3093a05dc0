"""What the page needs beside predictions: drawings, reasons, and the playground."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from heliograph.errors import HeliographError
from heliograph.serve import playground
from heliograph.serve.service import Service

MOST_EDGES = 400  # of a graph of one's own
Node = Annotated[int, Field(ge=0, lt=playground.MAX_NODES)]
LONGEST = 300  # characters of a SMILES that is drawn


class Drawing(BaseModel):
    """A molecule to draw. With a model that knows its domain, atoms that are new to it are set off."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"smiles": "CCO"}]})

    smiles: str = Field(max_length=LONGEST)
    model: str | None = None
    width: int = Field(320, ge=50, le=1200)
    height: int = Field(220, ge=50, le=1200)


class Why(Drawing):
    """A molecule whose prediction is explained."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"smiles": "CCO", "target": None}]})

    target: str | None = Field(None, description="what is explained (default: the first target)", max_length=200)


class Game(BaseModel):
    """A graph and a layer to step through."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"smiles": "c1ccccc1O", "layer": "gcn", "steps": 4}]})

    graph: str | None = Field(None, description="one of the graphs of /v1/playground, or", max_length=100)
    smiles: str | None = Field(None, description="a molecule, or", max_length=LONGEST)
    edges: list[tuple[Node, Node]] | None = Field(None, description="pairs of nodes 0, 1, ...", min_length=1, max_length=MOST_EDGES)
    triangles: bool = Field(False, description="whether a node starts with the number of triangles that it is a corner of")
    layer: str = Field("mean", max_length=20)
    steps: int = Field(6, ge=1, le=playground.MAX_STEPS)
    node: int | None = Field(None, ge=0, description="the node whose surroundings are told")


def add(app: FastAPI, service: Service, problem: Callable[[int, str], Exception]) -> None:
    """Add the addresses; `problem(status, text)` makes an error of the caller's."""

    async def apart(function: Callable[..., Any], *args: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(service.thread, function, *args)
        except HeliographError as error:
            raise problem(400, str(error)[:300]) from None

    @app.post("/v1/draw", summary="A molecule as SVG", tags=["page"])
    async def draw(question: Drawing) -> dict[str, Any]:
        if question.model is not None and question.model not in service.models:
            raise problem(404, "there is no such model")

        def drawn() -> dict[str, Any]:
            from heliograph.chem.draw import draw_svg
            from heliograph.chem.parse import parse_smiles

            parse_smiles(question.smiles)
            new = service.models[question.model].new_atoms(question.smiles) if question.model is not None else []
            colours = dict.fromkeys(new, (1.0, 0.80, 0.45))
            return {"svg": draw_svg(question.smiles, question.width, question.height, colours=colours), "new_atoms": new}

        found: dict[str, Any] = await apart(drawn)
        return found

    @app.post("/v1/explain", summary="Which atoms a prediction rests on, drawn", tags=["page"])
    async def explain(question: Why) -> dict[str, Any]:
        name = question.model if question.model is not None else next(iter(service.models))
        if name not in service.models:
            raise problem(404, "there is no such model")

        def explained() -> dict[str, Any]:
            from heliograph.chem.draw import draw_svg
            from heliograph.explain.colours import colours, scale_of

            one = service.models[name].explain(question.smiles, question.target)
            told = {"atoms": one.atoms.tolist(), "spread": one.spread.tolist(), "prediction": one.prediction, "baseline": one.baseline,
                    "fidelity": one.fidelity, "by_chance": one.by_chance}  # fmt: skip
            svg = draw_svg(question.smiles, question.width, question.height, colours=colours(one, scale_of([one])))
            return {"model": name, "method": "occlusion", "svg": svg} | {k: finite(v) for k, v in told.items()}

        found: dict[str, Any] = await apart(explained)
        return found

    @app.get("/v1/playground", summary="Graphs and layers of the playground", tags=["page"])
    async def choices() -> dict[str, Any]:
        return {"graphs": list(playground.toys()), "layers": [*playground.PLAIN, *playground.LEARNED]}

    @app.post("/v1/playground", summary="Message passing step by step, beside 1-WL", tags=["page"])
    async def play(game: Game) -> dict[str, Any]:
        if (game.graph, game.smiles, game.edges).count(None) != 2:
            raise problem(400, "give one of a graph, a SMILES and edges")
        toys = playground.toys()
        if game.graph is not None and game.graph not in toys:
            raise problem(404, f"there is no such graph; there are {', '.join(toys)}")

        def played() -> dict[str, Any]:
            if game.graph is not None:
                drawn = toys[game.graph]
            else:
                drawn = playground.own(game.edges) if game.edges is not None else playground.molecule(game.smiles or "")
            if game.node is not None and game.node >= len(drawn.places):
                raise problem(400, f"there is no node {game.node}")
            return playground.play(drawn, game.layer, game.steps, game.node, game.triangles)

        found: dict[str, Any] = await apart(played)
        return found


def finite(value: Any) -> Any:
    """The same with null for numbers that JSON has not."""
    if isinstance(value, list):
        return [finite(one) for one in value]
    return value if math.isfinite(value) else None
