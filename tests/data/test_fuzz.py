"""A few of `tests.data.fuzz` each time; `python -m tests.data.fuzz` does thousands."""

from __future__ import annotations

import pytest

from tests.data.fuzz import GIVEN, fuzz


@pytest.mark.parametrize("what", GIVEN)
def test_what_goes_in_comes_out(what: str) -> None:
    assert sum(fuzz(what, 40).values()) >= 40
