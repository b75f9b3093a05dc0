"""`--shapes`: check every jaxtyping annotation at run time (on in `make test`)."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two cores and xdist: one thread a test process

CHECKED = [f"heliograph.{room}" for room in ("kernels.reference", "blocks.readout", "blocks.update", "views")]  # elsewhere: lazy tensors


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shapes", action="store_true", help="check shapes and dtypes of annotated functions (jaxtyping + beartype)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--shapes"):
        from jaxtyping import install_import_hook

        install_import_hook(CHECKED, "beartype.beartype")
