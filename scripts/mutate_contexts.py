"""A plugin of pytest for scripts/mutate.py: which line is executed by which test, what its fixtures execute included.

Coverage's own contexts hold the bodies of tests only. What a fixture trains would count as executed by no test, although every test that
asks for that fixture looks at it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage

USERS: dict[str, set[str]] = defaultdict(set)  # fixture -> tests that ask for it, by way of others too
FAILED: set[str] = set()
SECONDS: dict[str, float] = defaultdict(float)


def _switch(context: str) -> None:
    current = Coverage.current()
    assert current is not None
    current.switch_context(context)


def _name(nodeid: str) -> str:
    return nodeid.split("[")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    for fixture in getattr(item, "fixturenames", ()):
        USERS[fixture].add(_name(item.nodeid))
    _switch(_name(item.nodeid))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Iterator[Any]:
    before = _name(request.node.nodeid) if fixturedef.scope == "function" else f"fixture:{fixturedef.argname}"
    _switch(before)
    try:
        return (yield)
    finally:
        _switch(_name(request._pyfuncitem.nodeid))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    SECONDS[_name(report.nodeid)] += report.duration
    if report.failed:
        FAILED.add(_name(report.nodeid))


def pytest_sessionfinish(session: pytest.Session) -> None:
    held = {"users": {k: sorted(v) for k, v in USERS.items()}, "failed": sorted(FAILED), "seconds": SECONDS}
    Path(session.config.rootpath, "contexts.json").write_text(json.dumps(held), encoding="utf-8")
