"""Read `--score "gap_pred - 2 * gap_std"` and `--where "in_domain and logp < 3"` over columns: a small parser, and nothing is executed.

An expression has numbers, 'texts', names of columns (`` `odd name` `` in backquotes), `+ - * / **`, comparisons, `and or not`,
parentheses and the functions of `FUNCTIONS`. It is evaluated on whole columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from heliograph.data.formats.table import as_number
from heliograph.errors import UsageError, suggest

MAX_LENGTH = 2000  # characters
MAX_DEPTH = 50  # of parentheses
FUNCTIONS: Mapping[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "log10": np.log10,
    "max": np.maximum,
    "min": np.minimum,
    "sqrt": np.sqrt,
}
_ARGUMENTS = {"max": 2, "min": 2}
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)|`(?P<column>[^`]+)`"""
    r"""|'(?P<single>[^']*)'|"(?P<double>[^"]*)"|(?P<sign>\*\*|==|!=|<=|>=|[-+*/()<>,]))""",
    re.ASCII,
)
_COMPARE: Mapping[str, Callable[[Any, Any], np.ndarray]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_ARITHMETIC: Mapping[str, Callable[..., np.ndarray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
}
_WORDS = ("and", "or", "not", "true", "false")

Columns = Mapping[str, Sequence[Any]]  # name -> n cells: numbers, texts or None


@dataclass(frozen=True)
class Node:
    """One operation: `kind` is number, text, column, not, negative, call, compare, arithmetic, and, or."""

    kind: str
    value: Any
    parts: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Expression:
    """A parsed expression; `Expression.parse(text).numbers(columns, n)` is float64 [n]."""

    text: str
    root: Node

    @classmethod
    def parse(cls, text: str, option: str = "the expression") -> Expression:
        """Raises UsageError, naming `option`, with the place of the first thing that can't be read."""
        return cls(text, _Parser(text, option).whole())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns that it reads, each once."""
        return tuple(dict.fromkeys(node.value for node in _walk(self.root) if node.kind == "column"))

    def check(self, known: Sequence[str], option: str) -> None:
        """Raises UsageError where a column is not among `known`."""
        for name in self.names:
            if name not in known:
                raise UsageError(f"{option}: there is no column {name!r}; {suggest(name, known)}")

    def numbers(self, columns: Columns, n: int) -> np.ndarray:
        """float64 [n]; NaN where a cell is missing or is no number."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(_numbers(self.root, columns, n), (n,)).astype(np.float64)

    def truths(self, columns: Columns, n: int) -> np.ndarray:
        """bool [n]; a comparison with something missing is false."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(_truths(self.root, columns, n), (n,)).astype(bool)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for part in node.parts:
        yield from _walk(part)


class _Parser:
    """Recursive descent; each method reads one level of precedence."""

    def __init__(self, text: str, option: str):
        self.option, self.text, self.depth = option, text, 0
        if len(text) > MAX_LENGTH:
            raise UsageError(f"{option} is too long: {len(text)} characters, limit {MAX_LENGTH}")
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                self._fail(at + len(text[at:]) - len(text[at:].lstrip()), "can't be read")
            assert match is not None and match.lastgroup is not None
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        self.at = 0

    def whole(self) -> Node:
        if not self.tokens:
            raise UsageError(f"{self.option} is empty")
        node = self._either()
        if self.at < len(self.tokens):
            self._fail(self.tokens[self.at][2], "was not expected")
        return node

    def _fail(self, at: int, why: str) -> None:
        there = self.text[at : at + 20] or "the end"
        raise UsageError(f"{self.option} {self.text!r}: {there!r} at character {at + 1} {why}")

    def _next(self, *wanted: str) -> str | None:
        """Take the next sign or word if it is one of `wanted`."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] in ("sign", "name") and self.tokens[self.at][1] in wanted:
            self.at += 1
            return self.tokens[self.at - 1][1]
        return None

    def _either(self) -> Node:
        node = self._both()
        while self._next("or"):
            node = Node("or", None, (node, self._both()))
        return node

    def _both(self) -> Node:
        node = self._not()
        while self._next("and"):
            node = Node("and", None, (node, self._not()))
        return node

    def _not(self) -> Node:
        if self._next("not"):
            return self._nested(lambda: Node("not", None, (self._not(),)))
        return self._comparison()

    def _comparison(self) -> Node:
        first = self._sum()
        found = []
        while sign := self._next(*_COMPARE):
            second = self._sum()
            found.append(Node("compare", sign, (first, second)))
            first = second
        if not found:
            return first
        node = found[0]
        for one in found[1:]:  # 1 < x < 3
            node = Node("and", None, (node, one))
        return node

    def _sum(self) -> Node:
        node = self._product()
        while sign := self._next("+", "-"):
            node = Node("arithmetic", sign, (node, self._product()))
        return node

    def _product(self) -> Node:
        node = self._signed()
        while sign := self._next("*", "/"):
            node = Node("arithmetic", sign, (node, self._signed()))
        return node

    def _signed(self) -> Node:
        if self._next("-"):
            return self._nested(lambda: Node("negative", None, (self._signed(),)))
        if self._next("+"):
            return self._nested(self._signed)
        node = self._atom()
        if self._next("**"):
            return self._nested(lambda: Node("arithmetic", "**", (node, self._signed())))
        return node

    def _nested(self, read: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UsageError(f"{self.option} is nested more than {MAX_DEPTH} deep")
        node = read()
        self.depth -= 1
        return node

    def _atom(self) -> Node:
        if self.at >= len(self.tokens):
            self._fail(len(self.text), "came too early")
        kind, value, place = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return Node("number", float(value))
        if kind in ("single", "double"):
            return Node("text", value)
        if kind == "column":
            return Node("column", value)
        if kind == "sign":
            if value != "(":
                self._fail(place, "was not expected")
            node = self._nested(self._either)
            self._close(place)
            return node
        if value in ("true", "false"):
            return Node("number", float(value == "true"))
        if value in _WORDS:
            self._fail(place, "was not expected")
        if self._next("("):
            return self._call(value, place)
        return Node("column", value)

    def _call(self, name: str, place: int) -> Node:
        if name not in FUNCTIONS:
            raise UsageError(f"{self.option}: there is no function {name!r}; {suggest(name, FUNCTIONS)}")
        arguments = [self._nested(self._either)]
        while self._next(","):
            arguments.append(self._nested(self._either))
        self._close(place)
        if len(arguments) != (wanted := _ARGUMENTS.get(name, 1)):
            raise UsageError(f"{self.option}: {name} takes {wanted} values; got {len(arguments)}")
        return Node("call", name, tuple(arguments))

    def _close(self, opened: int) -> None:
        if not self._next(")"):
            self._fail(opened, "is never closed")


def _numbers(node: Node, columns: Columns, n: int) -> np.ndarray:
    match node.kind:
        case "number":
            return np.array(node.value)
        case "text":
            raise UsageError(f"the text {node.value!r} can be compared with == and != only")
        case "column":
            return np.array([_number(cell) for cell in columns[node.value]], np.float64)
        case "negative":
            return -_numbers(node.parts[0], columns, n)
        case "call":
            return FUNCTIONS[node.value](*(_numbers(part, columns, n) for part in node.parts))
        case "arithmetic":
            a, b = (_numbers(part, columns, n) for part in node.parts)
            return _ARITHMETIC[node.value](a, b)
        case _:
            return _truths(node, columns, n).astype(np.float64)


def _truths(node: Node, columns: Columns, n: int) -> np.ndarray:
    match node.kind:
        case "and":
            return _truths(node.parts[0], columns, n) & _truths(node.parts[1], columns, n)
        case "or":
            return _truths(node.parts[0], columns, n) | _truths(node.parts[1], columns, n)
        case "not":
            return ~_truths(node.parts[0], columns, n)
        case "compare":
            return _compared(node, columns, n)
        case "column":
            return np.array([_truth(cell) for cell in columns[node.value]], bool)
        case _:
            value = _numbers(node, columns, n)
            return np.asarray((value != 0) & ~np.isnan(value))


def _compared(node: Node, columns: Columns, n: int) -> np.ndarray:
    if any(part.kind == "text" for part in node.parts):
        if node.value not in ("==", "!="):
            raise UsageError(f"texts can be compared with == and != only; got {node.value}")
        a, b = (_texts(part, columns, n) for part in node.parts)
        return _COMPARE[node.value](a, b)
    a, b = (_numbers(part, columns, n) for part in node.parts)
    return np.asarray(_COMPARE[node.value](a, b) & ~np.isnan(a) & ~np.isnan(b))


def _texts(node: Node, columns: Columns, n: int) -> np.ndarray:
    if node.kind == "text":
        return np.full(n, node.value, object)
    if node.kind == "column":
        return np.array([str("" if cell is None else cell).strip() for cell in columns[node.value]] + [""], object)[:n]
    raise UsageError("a text can be compared with a column only")


def _number(cell: Any) -> float:
    if isinstance(cell, str):
        found = as_number(cell)
        return float("nan") if found is None else found
    return float("nan") if cell is None else float(cell)


def _truth(cell: Any) -> bool:
    if isinstance(cell, str):
        found = as_number(cell)
        return cell.strip().lower() in ("true", "yes") if found is None else bool(found) and found == found
    return cell is not None and cell == cell and bool(cell)
