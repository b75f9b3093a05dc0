"""Expressions over columns: what they give, and that nothing else than an expression is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import HeliographError, UsageError
from heliograph.screen.expression import FUNCTIONS, Expression

COLUMNS = {"a": [1.0, 2.0, float("nan")], "b": ["4", "x", ""], "c": ["true", "0", "yes"], "odd name": [1, None, 3], "t": ["p", "q", "p"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", [1, 2, np.nan]),
        ("2 + 3 * a", [5, 8, np.nan]),
        ("-a ** 2", [-1, -4, np.nan]),
        ("2 ** 3 ** 2", [512, 512, 512]),
        ("(1 + a) / 2", [1, 1.5, np.nan]),
        ("b", [4, np.nan, np.nan]),
        ("`odd name` - 1", [0, np.nan, 2]),
        ("max(a, 1.5) + abs(-2)", [3.5, 4, np.nan]),
        ("log10(100)", [2, 2, 2]),
        ("1e3 + .5", [1000.5] * 3),
        ("a > 1", [0, 1, 0]),
    ],
)
def test_numbers(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(Expression.parse(text).numbers(COLUMNS, 3), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", [False, True, False]),
        ("not a > 1", [True, False, True]),
        ("c", [True, False, True]),
        ("t == 'p' and c", [True, False, True]),
        ('t != "p" or b == 4', [True, True, False]),
        ("1 <= a < 2", [True, False, False]),
        ("a != a", [False, False, False]),
        ("not (t == 'p') and true", [False, True, False]),
    ],
)
def test_truths(text: str, expected: list[bool]) -> None:
    assert Expression.parse(text).truths(COLUMNS, 3).tolist() == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a +", "came too early"),
        ("(a", "is never closed"),
        ("a b", "'b' at character 3 was not expected"),
        ("a; import os", "can't be read"),
        ("__import__('os').system('true')", "can't be read"),
        ("__import__('os')", "no function '__import__'"),
        ("a.b", "can't be read"),
        ("a[0]", "can't be read"),
        ("lambda: 1", "can't be read"),
        ("sqr(a)", "did you mean 'sqrt'"),
        ("max(a)", "takes 2 values; got 1"),
        ("a == 'x' + 1", "compared"),
        ("(" * 60 + "a" + ")" * 60, "nested more than 50"),
        ("-" * 80 + "a", "nested more than 50"),
        ("a" * 3000, "too long"),
    ],
)
def test_what_is_no_expression_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Expression.parse(text, "--score").numbers(COLUMNS | {"lambda": [0] * 3}, 3)


def test_unknown_columns_are_named() -> None:
    with pytest.raises(UsageError, match=r"--where: there is no column 'gap_prd'; did you mean 'gap_pred'\?"):
        Expression.parse("gap_prd > 1").check(["gap_pred", "gap_std"], "--where")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab1.+-*/()<>=!'\"` ,andortnx", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expression = Expression.parse(text)
        if set(expression.names) <= set(COLUMNS):
            assert expression.numbers(COLUMNS, 3).shape == (3,)
    except HeliographError:
        pass


def test_every_function_works_on_columns() -> None:
    for name in FUNCTIONS:
        text = f"{name}(a, a)" if name in ("max", "min") else f"{name}(a)"
        assert np.isfinite(Expression.parse(text).numbers({"a": [1.0]}, 1)).all()
