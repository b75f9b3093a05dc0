"""Jobs of a service: the answers of `predict`, kept on disk, gone on with after a kill, swept, bounded."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from heliograph.data import formats
from heliograph.data.sets import smallmol
from heliograph.errors import UsageError
from heliograph.serve import jobs as module
from heliograph.serve.jobs import JOB, Jobs
from tests.serve.conftest import Running

SMILES = [str(text) for text in smallmol.load().smiles[:700]]
TABLE = "name,smiles\n" + "".join(f"m{k},{text}\n" for k, text in enumerate(SMILES)) + "bad,nonsense\n"


def until_done(ask: Any, number: str, seconds: float = 60) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found: dict[str, Any] = ask(f"/v1/jobs/{number}").json()
        if found["state"] in ("done", "failed"):
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def same(found: str, wanted: str) -> None:
    """Equal row for row; numbers to what the company in a batch may change."""
    rows, others = table(found), table(wanted)
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys() and all(row[k] == other[k] for k in ("name", "smiles", "reason"))
        if not row["reason"]:
            assert float(row["a_pred"]) == pytest.approx(float(other["a_pred"]), rel=1e-5, abs=1e-5)


def test_a_job_gives_what_the_table_gives_and_keeps_its_rows(start: Any, tmp_path: Path) -> None:
    client, log = start(jobs_folder=tmp_path / "jobs", max_jobs=1)
    direct = client.post("/v1/table", content=TABLE).text
    job = client.post("/v1/jobs", content=TABLE, headers={"content-type": "text/csv"})
    assert job.status_code == 202 and job.json()["state"] == "waiting"
    number = job.json()["id"]
    full = client.post("/v1/jobs", content=TABLE)
    assert full.status_code == 429 and full.headers["retry-after"]
    assert client.get(f"/v1/jobs/{number}/answers").status_code in (200, 409)
    done = until_done(client.get, number)
    assert done["state"] == "done" and done["rows"] == 701 and not {"bytes", "suffix"} & set(done)
    same(client.get(f"/v1/jobs/{number}/answers").text, direct)
    assert table(direct)[-1]["reason"] and (tmp_path / "jobs" / number).stat().st_mode & 0o077 == 0
    assert client.delete(f"/v1/jobs/{number}").status_code == 204 and not (tmp_path / "jobs" / number).exists()
    for wrong in (number, "..", "0" * 32):
        assert client.get(f"/v1/jobs/{wrong}").status_code == 404
    empty = until_done(client.get, client.post("/v1/jobs?smiles_column=nope", content=TABLE).json()["id"])
    assert empty["state"] == "failed" and empty["error"]
    assert client.post("/v1/jobs", content=TABLE, headers={"content-type": "image/png"}).status_code == 415
    assert SMILES[0] not in json.dumps(log)


def test_tables_are_read_outside_the_event_loop(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, record = list[bool](), formats.Table._record

    def seen(*args: Any) -> Any:
        inside.append(asyncio._get_running_loop() is not None)
        return record(*args)

    monkeypatch.setattr(formats.Table, "_record", seen)
    client, _ = start(jobs_folder=tmp_path / "jobs")
    few = "\n".join(TABLE.splitlines()[:5])
    assert client.post("/v1/table", content=few).status_code == 200
    assert until_done(client.get, client.post("/v1/jobs", content=few).json()["id"])["rows"] == 4
    assert len(inside) == 8 and not any(inside)


def test_without_a_folder_there_are_no_jobs(client: TestClient) -> None:
    assert client.post("/v1/jobs", content=TABLE).status_code == 404


@pytest.mark.slow
def test_a_killed_service_goes_on_to_the_same_bytes(models: Path, tmp_path: Path) -> None:
    folder, many = tmp_path / "jobs", TABLE + "".join(f"again{k},{text}\n" for k, text in enumerate(SMILES * 3))
    first = Running(models / "one", "--jobs-folder", folder)
    number = httpx.post(f"{first.url}/v1/jobs", content=many, headers={"content-type": "text/csv"}).json()["id"]
    until = time.monotonic() + 60
    while time.monotonic() < until and json.loads((folder / number / JOB).read_text())["rows"] == 0:
        time.sleep(0.005)
    first.process.kill()
    first.process.wait()
    cut = json.loads((folder / number / JOB).read_text())
    assert cut["state"] == "running" and 0 < cut["rows"] < 701 + 3 * 700
    with open(folder / number / module.ANSWERS, "ab") as file:
        file.write(b"half a line, as a kill may leave it")
    second = Running(models / "one", "--jobs-folder", folder)
    try:
        assert until_done(lambda path: httpx.get(second.url + path), number)["rows"] == 701 + 3 * 700
        found = httpx.get(f"{second.url}/v1/jobs/{number}/answers").text
        whole = httpx.post(f"{second.url}/v1/table", content=many, headers={"content-type": "text/csv"}, timeout=60).text
        same(found, whole)
    finally:
        for one in (first, second):
            one.close()


def test_a_job_that_was_cut_goes_on_where_it_counts(start: Any, tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    client, _ = start(jobs_folder=folder)
    number = client.post("/v1/jobs", content=TABLE).json()["id"]
    done = until_done(client.get, number) and client.get(f"/v1/jobs/{number}/answers").text
    lines = (folder / number / module.ANSWERS).read_bytes().splitlines(keepends=True)
    client.__exit__(None, None, None)
    jobs = Jobs(folder, client.app.service, 4, keep=3600.0)
    kept = b"".join(lines[:257]).replace(b"m3,", b"kept,")  # what was written stays as it is
    (folder / number / module.ANSWERS).write_bytes(kept + lines[257][:20])
    jobs._save(replace(jobs.jobs[number], state="running", rows=256, bytes=len(kept), finished=None))
    jobs.close()
    again, _ = start(jobs_folder=folder)
    until_done(again.get, number)
    same(again.get(f"/v1/jobs/{number}/answers").text.replace("kept,", "m3,"), done)
    assert "kept," in (folder / number / module.ANSWERS).read_text()


def test_old_jobs_are_swept_and_those_of_another_model_begin_anew(start: Any, tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    client, _ = start(jobs_folder=folder)
    number = client.post("/v1/jobs", content=TABLE).json()["id"]
    answers = until_done(client.get, number) and client.get(f"/v1/jobs/{number}/answers").text
    service = client.app.service
    client.__exit__(None, None, None)
    jobs = Jobs(folder, service, 4, keep=3600.0)
    job = jobs.jobs[number]
    jobs._save(replace(job, sha256="another model's", state="running", rows=100, bytes=0, finished=None))  # what it wrote is not true now
    jobs.close()
    again, _ = start(jobs_folder=folder)
    assert until_done(again.get, number)["sha256"] == job.sha256
    same(again.get(f"/v1/jobs/{number}/answers").text, answers)
    again.__exit__(None, None, None)
    jobs = Jobs(folder, service, 4, keep=3600.0)
    jobs.sweep()
    assert number in jobs.jobs
    jobs.jobs[number] = replace(jobs.jobs[number], finished=time.time() - 3601)
    jobs.sweep()
    assert not (folder / number).exists() and (folder / module.MARK).exists()
    with pytest.raises(UsageError, match="another service uses"):
        Jobs(folder, service, 4, 1.0)
    jobs.close()
    Jobs(folder, service, 4, 1.0).close()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.doc").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        Jobs(tmp_path / "theirs", service, 4, 1.0)
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["thesis.doc"]
