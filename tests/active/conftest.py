"""The command line as a user runs it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run, run

__all__ = ["command_line", "run"]


@pytest.fixture
def command_line(run: Run) -> Run:
    """`command_line("active", "run", ...)` in an empty folder."""
    return run
