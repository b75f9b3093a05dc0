"""`--shapes`: check every jaxtyping annotation at run time (on in `make test`)."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two cores and xdist: one thread a test process

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: test_cuda_kernels runs its kernels without a GPU

CHECKED = [f"heliograph.{room}" for room in ("kernels.reference", "blocks.readout", "blocks.update", "views")]  # elsewhere: lazy tensors


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shapes", action="store_true", help="check shapes and dtypes of annotated functions (jaxtyping + beartype)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--shapes"):
        from jaxtyping import install_import_hook

        install_import_hook(CHECKED, "beartype.beartype")
    from heliograph.data.cache import cache_dir

    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_dir() / "kernels"))  # a test's own cache needs no compiler


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no collection of garbage need look at it again, of which every training makes one."""
    gc.collect()
    gc.freeze()
