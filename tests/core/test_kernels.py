"""The fused kernels against the plain ones: values, first and second derivatives, on random and awkward columns of indices."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
import torch
from numba.core import event
from torch import Tensor

from heliograph import kernels
from heliograph.cli.common import Bar
from heliograph.errors import UsageError
from heliograph.kernels import compiler, cpu, maxima, noise, ops, outer, reference, segment_softmax
from heliograph.kernels.operator import Operator
from heliograph.topology import Segments

# edges, segments, rows of the tables: random (segments of 3 and of 9 edges: kernels take four at a time), none, empty segments at the
# end, one segment, more segments than edges
SIZES = [(12, 4, 3), (0, 3, 4), (4, 6, 2), (6, 1, 1), (1, 1, 3)]
sizes = pytest.mark.parametrize("size", SIZES, ids=["random", "no edges", "empty segments", "one of each", "one edge"])
WIDTHS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((4,), (4,)), ((1,), (4,)), ((2, 1), (2, 3)), ((2, 3), (2, 3)), ((1, 3), (2, 1))]


def case(size: tuple[int, int, int], seed: int = 0) -> tuple[Segments, Tensor, Tensor, torch.Generator]:
    E, n, R = size
    rng = torch.Generator().manual_seed(seed)
    receivers = torch.randint(max(1, n - 2), (E,), generator=rng).sort().values  # the last segments stay empty
    return Segments(receivers, n), torch.randint(R, (E,), generator=rng), torch.randint(R, (E,), generator=rng), rng


def table(rng: torch.Generator, rows: int, *shape: int) -> Tensor:
    return torch.randn(rows, *shape, generator=rng, dtype=torch.float64, requires_grad=True)


def same(f: Callable[..., Tensor], *leaves: Tensor) -> None:
    """f with the fused kernels equals f with the plain ones, and its derivatives are those of its values."""
    with kernels.use("reference"):
        plain = f(*leaves)
    fused = f(*leaves)
    assert fused.shape == plain.shape and torch.allclose(fused, plain, atol=1e-12)
    assert torch.autograd.gradcheck(f, leaves)
    assert torch.autograd.gradgradcheck(f, leaves, fast_mode=True)  # along random directions


@sizes
def test_gather(size: tuple[int, int, int]) -> None:
    _, index, _, rng = case(size)
    same(lambda x: kernels.gather(x, index), table(rng, size[2], 3))


@sizes
@pytest.mark.parametrize("shape", [(3,), (2, 3), ()])
def test_gather_sum(size: tuple[int, int, int], shape: tuple[int, ...]) -> None:
    segments, index, _, rng = case(size)
    same(lambda x: kernels.gather_sum(x, index, segments), table(rng, size[2], *shape))
    same(lambda x: kernels.segment_sum(x, segments), table(rng, size[0], *shape))
    same(lambda x: kernels.gather_sum(x, segments.index, segments), table(rng, size[1], *shape))


@sizes
@pytest.mark.parametrize(("a", "b"), WIDTHS)
def test_product_sum(size: tuple[int, int, int], a: tuple[int, ...], b: tuple[int, ...]) -> None:
    segments, first, second, rng = case(size)
    E, _, R = size
    same(lambda x, y: kernels.product_sum(x, first, y, second, segments), table(rng, R, *a), table(rng, R, *b))
    same(lambda x, y: kernels.product_sum(x, None, y, second, segments), table(rng, E, *a), table(rng, R, *b))
    same(lambda x, y: kernels.product_sum(y, None, x, first, segments), table(rng, R, *a), table(rng, E, *b))


@sizes
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 2, 1)])
def test_dot(size: tuple[int, int, int], shape: tuple[int, ...]) -> None:
    _, first, second, rng = case(size)
    E, _, R = size
    same(lambda x, y: kernels.dot(x, first, y, second), table(rng, R, *shape), table(rng, R, *shape))
    same(lambda x, y: kernels.dot(x, None, y, second), table(rng, E, *shape), table(rng, R, *shape))
    same(lambda x, y: kernels.dot(y, first, x, None), table(rng, E, *shape), table(rng, R, *shape))
    same(lambda x, y: kernels.dot(x, None, y, None), table(rng, E, *shape), table(rng, E, *shape))


@sizes
@pytest.mark.parametrize("name", kernels.ACTIVATIONS)
@pytest.mark.parametrize("summed", [True, False])
def test_act_sum(size: tuple[int, int, int], name: str, summed: bool) -> None:
    segments, first, second, rng = case(size)
    E, n, R = size
    by = segments if summed else None
    same(lambda x: kernels.act_sum(name, [(x, None)], by), table(rng, E, 2))
    same(lambda x, y, z: kernels.act_sum(name, [(x, first), (y, segments.index), (z, None)], by),
         table(rng, R, 2), table(rng, n, 2), table(rng, E, 2))  # fmt: skip
    same(lambda x, y: kernels.act_sum(name, [(x, first), (y, second)], by), table(rng, R, 2), table(rng, R, 2))
    columns = (first, second, None, segments.index)
    four = table(rng, R, 2), table(rng, R, 2), table(rng, E, 2), table(rng, n, 2)
    same(lambda *t: kernels.act_sum(name, list(zip(t, columns, strict=True)), by), *four)
    five = (*columns, first)
    same(lambda *t: kernels.act_sum(name, list(zip(t, five, strict=True)), by), *four, table(rng, R, 2))


@sizes
@pytest.mark.parametrize(("K", "d"), [(5, 2), (1, 3), (8, 1)])
def test_outer_sum(size: tuple[int, int, int], K: int, d: int) -> None:
    segments, first, second, rng = case(size)
    E, n, R = size
    same(lambda p, x: kernels.outer_sum(p, first, x, second, segments), table(rng, R, K), table(rng, R, d))
    same(lambda p, x: kernels.outer_sum(p, None, x, second, segments), table(rng, E, K), table(rng, R, d))
    g = table(rng, n, K, d)
    same(lambda g, x: outer.outer_left(g, x, ops.column(first, R, True), ops.by_segments(segments)), g, table(rng, R, d))
    same(lambda g, p: outer.outer_right(g, p, ops.column(first, R, True), ops.by_segments(segments)), g, table(rng, R, K))


@sizes
def test_gather_max(size: tuple[int, int, int]) -> None:
    segments, index, _, rng = case(size)
    same(lambda x: kernels.gather_max(x, index, segments), table(rng, size[2], 3))
    same(lambda x: kernels.segment_max(x, segments), table(rng, size[0], 3))


@sizes
@pytest.mark.parametrize("shape", [(3,), (1,), (2, 2), ()])
def test_softmax(size: tuple[int, int, int], shape: tuple[int, ...]) -> None:
    segments, _, _, rng = case(size)
    x = table(rng, size[0], *shape)
    same(lambda x: kernels.softmax(x, segments), x)
    expected = torch.cat([torch.empty(0, *shape, dtype=x.dtype), *(x[segments.index == i].softmax(0) for i in range(segments.n))])
    assert torch.allclose(kernels.softmax(x, segments), expected, atol=1e-14)
    by, p, g = ops.by_segments(segments), table(rng, size[0], 3), table(rng, size[0], 3)
    same(lambda p, g: segment_softmax.softmax_slope(p, g, by, segments.n), p, g)
    total = torch.zeros(segments.n, 3, dtype=p.dtype).index_add(0, segments.index, p * g)
    assert torch.allclose(segment_softmax.softmax_slope(p, g, by, segments.n), p * (g - total[segments.index]))


def test_softmax_at_the_ends() -> None:
    segments = Segments(torch.tensor([0, 0, 1, 1, 2, 2]), 3)
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor([-1e4, 3.0, float("-inf"), 1e30, float("nan"), 0.0], dtype=dtype)
        for which in ("fused", "reference"):
            with kernels.use(which):
                assert kernels.softmax(x, segments)[:4].tolist() == [0.0, 1.0, 0.0, 1.0] and kernels.softmax(x, segments)[4:].isnan().all()


def test_a_row_too_many_or_too_few_is_not_read() -> None:
    """A single row is broadcast where plain PyTorch does so."""
    segments, index, x, one = Segments(torch.tensor([0, 0, 1]), 2), torch.tensor([0, 1, 1]), torch.randn(4, 2), torch.randn(1, 2)
    for f in (kernels.segment_sum, kernels.segment_max, kernels.softmax):
        with pytest.raises((RuntimeError, IndexError)):
            f(x, segments)
    for g in (
        lambda y: kernels.act_sum("relu", [(x, index), (y, None)], segments),
        lambda y: kernels.act_sum("relu", [(x, index), (y, None)], None),
        lambda y: kernels.product_sum(x, index, y, None, segments),
        lambda y: kernels.dot(x, index, y, None),
    ):
        with pytest.raises(RuntimeError):
            g(x)
        assert torch.allclose(g(one), g(one.expand(3, 2)))


def test_of_equal_values_the_first_takes_the_gradient() -> None:
    segments, x = Segments(torch.tensor([0, 0, 1]), 3), torch.tensor([[2.0], [2.0], [1.0]], requires_grad=True)
    for which in ("fused", "reference"):
        with kernels.use(which):
            (g,) = torch.autograd.grad(kernels.segment_max(x, segments).sum(), x)
        assert g.squeeze().tolist() == [1.0, 0.0, 1.0]


def test_shifted_softplus() -> None:
    same(kernels.shifted_softplus, table(torch.Generator().manual_seed(0), 5, 3))
    x = torch.linspace(-120, 120, 4001)
    exact = torch.logaddexp(x.double(), torch.zeros(())) - torch.log(torch.tensor(2.0, dtype=torch.float64))
    assert torch.allclose(kernels.shifted_softplus(x).double(), exact, rtol=3e-7, atol=3e-7)


@pytest.mark.parametrize("name", [*kernels.ACTIVATIONS])
def test_not_a_number_and_infinity_survive(name: str) -> None:
    bad = torch.tensor([[float("nan"), float("inf"), 1.0]])
    segments = Segments(torch.tensor([0]), 1)
    out = kernels.act_sum(name, [(bad, None)], segments)
    assert out.isnan().tolist() == [[True, False, False]] and out[0, 1] == float("inf")
    far = torch.tensor([[-1e30, float("-inf"), -200.0]])
    with kernels.use("reference"):
        expected = kernels.act_sum(name, [(far, None)], segments)
    assert torch.allclose(kernels.act_sum(name, [(far, None)], segments), expected, equal_nan=True)
    assert kernels.segment_max(torch.cat([-bad, bad]), Segments(torch.tensor([0, 0]), 1)).isnan().tolist() == [[True, False, False]]
    for which in ("fused", "reference"):
        with kernels.use(which):
            assert kernels.segment_sum(bad, segments).isnan().tolist() == [[True, False, False]]
            assert kernels.segment_max(bad, segments).isnan().tolist() == [[True, False, False]]


def test_float32_is_as_near_as_float32_can_be() -> None:
    segments, first, second, rng = case((500, 40, 60))
    a, b, w = torch.randn(60, 16, generator=rng), torch.randn(60, 16, generator=rng), torch.randn(500, 16, generator=rng)
    for f in (
        lambda a, b, w: kernels.act_sum("silu", [(a, first), (b, second), (w, None)], segments),
        lambda a, b, w: kernels.act_sum("shifted_softplus", [(a, first), (b, second), (w, None), (b, first)], segments),
        lambda a, b, w: kernels.product_sum(w, None, a, first, segments) + kernels.product_sum(a, first, b, second, segments),
        lambda a, b, w: kernels.softmax(20 * w, segments),
    ):
        with kernels.use("reference"):
            exact = f(a.double(), b.double(), w.double())
        assert torch.allclose(f(a, b, w).double(), exact, rtol=1e-5, atol=1e-5)


def test_kernels_leave_the_number_of_threads_alone() -> None:
    """One that was asked for before the first kernel started numba's."""
    code = """
import torch
from heliograph import kernels
from heliograph.topology import Segments

assert torch.get_num_threads() == 1
kernels.segment_sum(torch.ones(4, 2), Segments(torch.arange(4), 4))
assert torch.get_num_threads() == 1, torch.get_num_threads()
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "2"}, check=True)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    segments, first, _, rng = case((3000, 200, 150))
    a, w = torch.randn(150, 16, generator=rng, requires_grad=True), torch.randn(3000, 16, generator=rng, requires_grad=True)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            p = kernels.softmax(w, segments)
            y = kernels.product_sum(p, None, a, first, segments) + kernels.act_sum("relu", [(a, first), (w, None)], segments)
            results.append([y, *torch.autograd.grad(y.square().sum(), [a, w])])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(p, q) for p, q in zip(*results, strict=True))


def test_bf16_under_autocast_is_cast_at_the_operator() -> None:
    segments, first, _, rng = case((40, 7, 11))
    a, w = torch.randn(11, 8, generator=rng), torch.randn(40, 8, generator=rng)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = kernels.product_sum(w.bfloat16(), None, a, first, segments)
        sums = kernels.outer_sum(w.bfloat16(), None, a, first, segments)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, kernels.product_sum(w.bfloat16().float(), None, a, first, segments))
    assert sums.dtype == torch.float32
    assert torch.allclose(sums, kernels.outer_sum(w.bfloat16().float(), None, a, first, segments))
    low = kernels.gather_sum(a.bfloat16(), first, segments)  # no loops for bf16 tables outside autocast
    assert low.dtype == torch.bfloat16


def calls() -> list[tuple[Operator, tuple[Any, ...]]]:
    """A call of each operator."""
    segments, first, second, rng = case((40, 7, 11))
    a, b, w = table(rng, 11, 4), table(rng, 11, 2), table(rng, 40, 4)
    of_a, of_b, by = ops.column(first, 11, True), ops.column(second, 11, True), ops.by_segments(segments)
    return [
        (ops.gather_sum, (a, of_a, by, 7)),
        (ops.product_sum, (b, a, of_b, of_a, by, 7)),
        (ops.dot_sum, (w, a, ops.EDGES, of_a, by, 7, 2)),
        (ops.act_sum, (1, a, w, None, None, [*of_a, *ops.EDGES], by, 7)),
        (ops.act_sum, (3, a, w, table(rng, 11, 4), table(rng, 7, 4), [*of_a, *ops.EDGES, *of_b, *by], by, 7)),
        (ops.act_slope_sum, (2, a, w, None, None, table(rng, 7, 4), [*of_a, *ops.EDGES], by, of_a, 11)),
        (outer.outer_sum, (a, b, of_a, of_b, by, 7)),
        (outer.outer_left, (table(rng, 7, 4, 2), b, of_b, by)),
        (outer.outer_right, (table(rng, 7, 4, 2), a, of_a, by)),
        (maxima.argmax, (a.detach(), first, segments.pointer)),
        (maxima.take_best, (a, maxima.argmax(a.detach(), first, segments.pointer), of_a, by)),
        (maxima.spread, (table(rng, 7, 4), maxima.argmax(a.detach(), first, segments.pointer), of_a, by, 11)),
        (segment_softmax.softmax, (w, by, 7)),
        (segment_softmax.softmax_slope, (w, table(rng, 40, 4), by, 7)),
        (ops.group, (first, 11)),
        (ops.shifted_softplus, (a,)),
        (ops.sigmoid_times, (a, table(rng, 11, 4))),
        (noise.dropout, (a, 12345678901234567, 0.3)),
    ]


def test_operators_keep_the_contract_of_torch_library() -> None:
    for op, args in calls():
        torch.library.opcheck(op.dispatched.default, args, test_utils=("test_schema", "test_autograd_registration", "test_faketensor"))


def test_with_the_dispatcher_and_without_it() -> None:
    for op, args in calls():
        found = []
        for way in (op, op.dispatched):
            y = way(*args)
            leaves = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
            first = torch.autograd.grad(y.sin().sum(), leaves, create_graph=True) if leaves else ()
            second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves) if leaves else ()  # type: ignore[arg-type]
            found.append([*(y if isinstance(y, tuple) else (y,)), *first, *second])
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True)), op.name


def test_autocast_with_the_dispatcher_and_without_it() -> None:
    for op, args in calls():
        found = []
        for way in (op, op.dispatched):
            low = [x.detach().to(torch.bfloat16).requires_grad_(x.requires_grad) if _floats(x) else x for x in args]
            leaves = [x for x in low if isinstance(x, Tensor) and x.requires_grad]
            with torch.autocast("cpu", torch.bfloat16):
                y = way(*low)
            gradients = torch.autograd.grad(y.sin().sum(), leaves) if leaves else ()
            found.append([*(y if isinstance(y, tuple) else (y,)), *gradients])
        assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(*found, strict=True)), op.name


def test_autocast_does_not_go_the_dispatchers_way(monkeypatch: pytest.MonkeyPatch) -> None:
    segments, first, _, rng = case((40, 7, 11))
    monkeypatch.setattr(ops.gather_sum, "dispatched", None)
    with torch.autocast("cpu", torch.bfloat16):
        assert kernels.gather_sum(table(rng, 11, 4).detach().bfloat16(), first, segments).dtype == torch.float32


def _floats(x: object) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


def test_who_listens_at_the_dispatcher_hears_of_every_call() -> None:
    segments, first, _, rng = case((40, 7, 11))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        kernels.gather_sum(table(rng, 11, 4).detach(), first, segments)
    assert "heliograph::gather_sum" in {event.key for event in profile.key_averages()}


def test_quiet_commands_do_not_announce_that_kernels_are_compiled(capsys: pytest.CaptureFixture[str]) -> None:
    compiled = event.Event("numba:compile", event.EventStatus.START, {"dispatcher": cpu.gather_sum})
    for quiet in (True, False):
        compiler.announce.cache_clear()
        with Bar(quiet):
            event.broadcast(compiled)
        assert ("Compiling kernels" in capsys.readouterr().err) == (not quiet)
    assert "HELIOGRAPH_QUIET" not in os.environ


def test_each_new_form_of_a_loop_is_announced() -> None:
    """Not one that is there, nor a loop of somebody else's."""
    code = """
import numba, torch
from heliograph import kernels
from heliograph.topology import Segments
from heliograph.kernels import compiler

segments = Segments(torch.tensor([0, 0]), 1)
for dtype in (torch.float32, torch.float32, torch.float64):
    compiler.announce.cache_clear()
    kernels.segment_sum(torch.zeros(2, 3, dtype=dtype), segments)
    print("called")
compiler.announce.cache_clear()
numba.njit(lambda a: a + 1)(1)
"""
    with tempfile.TemporaryDirectory() as empty:
        environment = {k: v for k, v in os.environ.items() if k != "HELIOGRAPH_QUIET"} | {"NUMBA_CACHE_DIR": empty}
        done = subprocess.run(
            [sys.executable, "-u", "-c", code], env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["Compiling", "called", "called", "Compiling", "called"]


def test_an_index_is_grouped_once() -> None:
    index = torch.tensor([2, 0, 2, 1])
    order, pointer = ops.column(index, 4, True)[1:]
    assert order is not None and order.tolist() == [1, 3, 0, 2] and pointer is not None and pointer.tolist() == [0, 1, 2, 4, 4]
    assert ops.column(index, 4, True)[1] is order and ops.column(index, 4, False) == [index, None, None]


def test_the_loops_are_what_runs() -> None:
    segments, first, _, rng = case((40, 7, 11))
    x = table(rng, 11, 4)
    assert "heliograph::gather_sum" in kernels.gather_sum(x, first, segments).grad_fn.name()  # type: ignore[union-attr]
    with kernels.use("reference"):
        assert "IndexAdd" in kernels.gather_sum(x, first, segments).grad_fn.name()  # type: ignore[union-attr]


def test_reference_has_the_same_functions() -> None:
    for name in kernels.__all__:
        assert name in (
            "chosen",
            "compile_all",
            "multisets",
            "factorize",
            "interpolate",  # plain gathers beside it: tests/core/test_knots.py
            "select_segments",
            "segment_max",
            "shifted_softplus",
            "softmax",
            "use",
        ) or hasattr(reference, name)


def test_a_set_of_kernels_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no kernels 'cqu'"), kernels.use("cqu"):
        pass
