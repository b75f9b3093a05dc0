"""The addresses of the service: what they take and give, as FastAPI writes it into /openapi.json."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

import heliograph
from heliograph.errors import HeliographError
from heliograph.serve import extras
from heliograph.serve.batching import Busy
from heliograph.serve.guard import Guard
from heliograph.serve.jobs import Full, Job, Jobs, line, written
from heliograph.serve.service import Service

STATIC = Path(__file__).with_name("static")
ModelName = Annotated[str | None, Query(description="name of the model (default: the first)", max_length=200)]
Column = Annotated[str | None, Query(description="column with the SMILES", max_length=200)]
TABLES = {"text/csv": ".csv", "text/tab-separated-values": ".tsv", "chemical/x-daylight-smiles": ".smi"}


class Json(JSONResponse):
    """JSON in ASCII, so that any text can be sent."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode()


class Question(BaseModel):
    """Molecules for a model."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"smiles": ["CCO", "c1ccccc1"]}]})

    smiles: list[str] = Field(description="one molecule each", min_length=1)
    model: str | None = Field(None, description="name of the model (default: the first)")


class Answer(BaseModel):
    """One molecule: what was asked, the answers by column, or the reason why there are none."""

    smiles: str
    reason: str
    answers: dict[str, float | str | bool | None]


class Answers(BaseModel):
    """Rows in the order of the question."""

    model: str
    sha256: str
    rows: list[Answer]


class Problem(Exception):
    """What is wrong with a request, with its status."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None):
        super().__init__(text)
        self.status, self.headers = status, headers


def create(service: Service, token: str | None = None) -> Guard:
    """The ASGI application of a service, ready to be run or mounted. Raises UsageError for a folder of jobs that is another's."""

    c = service.config
    jobs = None if c.jobs_folder is None else Jobs(c.jobs_folder, service, c.max_jobs, 3600 * c.keep_jobs)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        if jobs is not None:
            jobs.start()
        yield
        if jobs is not None:
            await jobs.stop()
        await service.stop()

    app = FastAPI(
        title="Heliograph",
        version=heliograph.__version__,
        description="Predictions of molecular properties by message passing neural networks.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        default_response_class=Json,
    )
    guard = Guard(app, service, token)
    _errors(app)
    _operations(app, service, guard)
    _questions(app, service)
    if jobs is not None:
        _later(app, service, jobs)
    extras.add(app, service, Problem)
    _pages(app)
    return guard


def _errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        fields = [{"field": ".".join(map(str, one["loc"]))[:200], "error": one["msg"][:200]} for one in error.errors()[:20]]
        return Json({"error": "the request is not as it should be; see /openapi.json", "fields": fields}, 400)

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return Json({"error": str(error)}, error.status, error.headers)

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> Response:
        return Json({"error": str(error)}, 429, {"Retry-After": str(error.retry_after)})

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _: Exception) -> Response:
        return Json({"error": "something went wrong here; the log has its place under this id", "id": request.state.number}, 500)

    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> Response:
        return Json({"error": str(error.detail)[:200]}, error.status_code, error.headers)


def _operations(app: FastAPI, service: Service, guard: Guard) -> None:
    @app.get("/healthz", summary="Is the process alive?", tags=["operations"])
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", summary="Are the models loaded and warm?", tags=["operations"])
    async def readyz() -> Response:
        ready = bool(service.queues) and not guard.draining
        return Json({"status": "ready" if ready else "not ready", "models": list(service.models)}, 200 if ready else 503)

    @app.get("/metrics", summary="Counters and histograms for Prometheus", tags=["operations"], response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        for name, queue in service.queues.items():
            service.metrics.gauge("queued_molecules", queue.queued, model=name)
        for name, watch in service.watches.items():
            for figure, value in watch.about().items():
                service.metrics.gauge(f"drift_{figure}", value, model=name)
        service.metrics.gauge("requests_inside", guard.inside)
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _known(service: Service, name: str | None) -> str:
    """The name of a model, the first where none is given. Raises Problem."""
    if name is None:
        return next(iter(service.models))
    if name not in service.models:
        raise Problem(404, f"there is no such model; there are {', '.join(service.models)}")
    return name


def _suffix(request: Request) -> str:
    """The suffix of the kind of table that is sent. Raises Problem."""
    kind = request.headers.get("content-type", "text/csv").partition(";")[0].strip().lower()
    if kind not in TABLES:
        raise Problem(415, f"send a table as one of {', '.join(TABLES)}")
    return TABLES[kind]


def _questions(app: FastAPI, service: Service) -> None:
    @app.get("/v1/models", summary="The models and what they predict", tags=["predictions"])
    async def models() -> list[dict[str, Any]]:
        watched = {name: {"drift": watch.about()} for name, watch in service.watches.items()}
        return [model.about() | watched.get(name, {}) for name, model in service.models.items()]

    @app.post("/v1/predict", summary="Predict for molecules", tags=["predictions"], response_model=Answers)
    async def predict(question: Question, request: Request) -> Response:
        name = _known(service, question.model)
        if len(question.smiles) > service.config.max_molecules:
            raise Problem(413, f"{len(question.smiles):,} molecules; the limit is {service.config.max_molecules:,} a request")
        sha256 = service.models[name].sha256
        request.state.facts = {"model": name, "molecules": len(question.smiles)}
        rows = await service.predict(name, question.smiles)
        return Json({"model": name, "sha256": sha256, "rows": [row.to_dict() for row in rows]})

    @app.post("/v1/table", summary="Predict for a CSV, TSV or SMI; answers CSV", tags=["predictions"], response_class=PlainTextResponse)
    async def table(
        request: Request,
        model: ModelName = None,
        smiles_column: Column = None,
    ) -> Response:
        name, suffix = _known(service, model), _suffix(request)
        body, most = await request.body(), service.config.max_molecules
        columns, cells, smiles = await asyncio.to_thread(_table, body, suffix, smiles_column, most)
        request.state.facts = {"model": name, "molecules": len(smiles)}
        rows = await service.predict(name, smiles) if smiles else []
        answers = service.models[name].columns
        lines = [line([*columns, *answers, "reason"]), *(written(own, row, answers) for row, own in zip(rows, cells, strict=True))]
        return Response(b"".join(lines), media_type="text/csv; charset=utf-8")


def _later(app: FastAPI, service: Service, jobs: Jobs) -> None:
    def found(number: str) -> Job:
        if number not in jobs.jobs:
            raise Problem(404, "there is no such job (any more)")
        return jobs.jobs[number]

    @app.post("/v1/jobs", summary="Predict for a CSV, TSV or SMI while nobody waits", tags=["jobs"], status_code=202)
    async def add(request: Request, model: ModelName = None, smiles_column: Column = None) -> Response:
        name, suffix, body = _known(service, model), _suffix(request), await request.body()
        if body[:2] == b"\x1f\x8b":
            raise Problem(415, "send the table as it is, not compressed")
        try:
            return Json(jobs.add(name, body, suffix, smiles_column).about(), 202)
        except Full:
            raise Problem(429, f"{jobs.most} jobs wait already", {"Retry-After": "60"}) from None

    @app.get("/v1/jobs/{number}", summary="How far a job is", tags=["jobs"])
    async def about(number: str) -> dict[str, Any]:
        return found(number).about()

    @app.get("/v1/jobs/{number}/answers", summary="The table of a job that is done, with its answers", tags=["jobs"])
    async def answers(number: str) -> Response:
        job = found(number)
        if job.state != "done":
            raise Problem(409, f"the job is {job.state}" + (f": {job.error}" if job.error else ""))
        return FileResponse(jobs.answers(job), media_type="text/csv; charset=utf-8")

    @app.delete("/v1/jobs/{number}", summary="Forget a job and its files", tags=["jobs"], status_code=204)
    async def remove(number: str) -> Response:
        jobs.remove(found(number))
        return Response(status_code=204)


def _table(body: bytes, suffix: str, smiles_column: str | None, most: int) -> tuple[tuple[str, ...], list[list[str]], list[str]]:
    """Columns, cells and SMILES of an uploaded table; in a thread, as a large one takes seconds. Raises Problem."""
    from heliograph.data.formats import read

    with tempfile.TemporaryDirectory(prefix="heliograph-serve-") as folder:
        path = Path(folder) / f"table{suffix}"
        path.write_bytes(body)
        if body[:2] == b"\x1f\x8b":
            raise Problem(415, "send the table as it is, not compressed")
        try:
            table = read(path, smiles_column=smiles_column, target_columns=())
            cells: list[list[str]] = []
            smiles: list[str] = []
            for record in table:
                if len(smiles) >= most:
                    raise Problem(413, f"the table has more than {most:,} rows")
                cells.append([record.meta.get(column, "") for column in table.columns])
                smiles.append(record.structure if isinstance(record.structure, str) else "")
        except HeliographError as error:
            raise Problem(400, str(error)[:300]) from None
    return table.columns, cells, smiles


def _pages(app: FastAPI) -> None:
    if not (STATIC / "index.html").is_file():
        return

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
