"""The scaling is a function of labels and compositions alone, whatever unit the labels are in."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.learn.task import Task
from heliograph.train import scale

TASK = Task("regression", ("a",), ("",))


def extensive(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Compositions of C, H and O, and labels that add up over atoms but for a little noise."""
    rng = np.random.default_rng(0)
    counts = np.zeros((n, 119), dtype=np.int64)
    counts[:, [1, 6, 8]] = rng.integers(1, 9, (n, 3))
    y = counts[:, [1, 6, 8]] @ np.array([-0.6, -38.0, -75.0]) + 0.01 * rng.standard_normal(n)
    return counts, y[:, None]


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 27.2, 1e9])
def test_references_and_scale_follow_the_unit(unit: float) -> None:
    counts, y = extensive()
    one, other = scale.fit(TASK, y, counts, "auto"), scale.fit(TASK, unit * y, counts, "auto")
    assert one.extensive == other.extensive == (True,) and one.intensive == other.intensive == (False,)
    assert sorted(other.scaling.references) == [1, 6, 8]
    for z, values in one.scaling.references.items():
        assert other.scaling.references[z] == pytest.approx(tuple(unit * v for v in values), rel=1e-6)
    assert other.scaling.std == pytest.approx((unit * one.scaling.std[0],), rel=1e-6)
    np.testing.assert_allclose(other.scaling.scale(unit * y, counts), one.scaling.scale(y, counts), atol=1e-5)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_what_does_not_grow_has_no_references_in_any_unit(unit: float) -> None:
    counts, _ = extensive()
    y = unit * np.random.default_rng(1).standard_normal((80, 1))
    found = scale.fit(TASK, y, counts, "auto")
    assert found.extensive == (False,) and found.intensive == (True,) and not found.scaling.references
    assert found.scaling.mean == pytest.approx((y.mean(),)) and found.scaling.std == pytest.approx((y.std(),))


def test_classes_have_no_scale() -> None:
    counts, y = extensive()
    found = scale.fit(Task("binary", ("a", "b"), ("", ""), (("0", "1"),) * 2), np.hstack([y, y]) > 0, counts, "fit")
    assert found.extensive == found.intensive == (False, False)
    assert found.scaling.mean == (0.0, 0.0) and found.scaling.std == (1.0, 1.0) and not found.scaling.references


def test_a_constant_far_from_zero_is_divided_by_one() -> None:
    """Rounding errors of a constant are no spread; a spread that is small beside the values is one."""
    counts, _ = extensive()
    y = np.full((80, 1), 1e6) + np.where(np.arange(80) % 2, 1e-8, 0.0)[:, None]
    assert scale.fit(TASK, y, counts, "none").scaling.std == (1.0,)
    y = np.full((80, 1), -1e6) + np.where(np.arange(80) % 2, 1.0, 0.0)[:, None]
    assert scale.fit(TASK, y, counts, "none").scaling.std == pytest.approx((0.5,))
