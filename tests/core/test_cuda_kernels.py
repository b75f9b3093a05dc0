"""The Triton kernels against the plain ones: values, first and second derivatives. Without a GPU, Triton's interpreter runs them.

What only a GPU shows (that they compile, agree with `cpu` in float32, and are the same from run to run) is tested where there is one.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from heliograph import kernels, zoo
from heliograph.graph import Graph
from heliograph.kernels import maxima, noise, ops, outer, segment_softmax
from heliograph.model import Inputs
from heliograph.topology import Segments
from tests.core.test_kernels import SIZES, WIDTHS, case, sizes, table
from tests.graphs import ATOMS, BONDS, awkward, strange

pytest.importorskip("triton")
GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
gpu = pytest.mark.skipif(not GPU, reason="needs a GPU")


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without a GPU, loops of tensors on the CPU are those of `cuda`, interpreted (conftest says so to Triton)."""
    if GPU:
        yield
        return
    from heliograph.kernels import cuda

    def run(loop: str, *args: Any, out: Tensor) -> None:
        getattr(cuda, loop)(*[a.contiguous() if isinstance(a, Tensor) else a for a in args], out)

    for module in (ops, outer, maxima, noise, segment_softmax):
        monkeypatch.setattr(module, "launch", run)
    yield


def placed(size: tuple[int, int, int]) -> tuple[Segments, Tensor, Tensor, torch.Generator]:
    segments, first, second, rng = case(size)
    return Segments(segments.index.to(DEVICE), segments.n), first.to(DEVICE), second.to(DEVICE), rng


def same(f: Callable[..., Tensor], *leaves: Tensor) -> None:
    """Values, first and second derivatives of f with the fused kernels and without."""
    found = []
    for kind in ("reference", "fused"):
        with kernels.use(kind):
            mine = [x.detach().to(DEVICE).requires_grad_() for x in leaves]
            y = f(*mine)
            first = torch.autograd.grad(y.sin().sum(), mine, create_graph=True)
            second = torch.autograd.grad(sum((g * g).sum() for g in first), mine, allow_unused=True, materialize_grads=True)  # type: ignore[arg-type]
            found.append([t.detach().cpu() for t in (y, *first, *second)])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-11)


@sizes
def test_sums_of_rows(size: tuple[int, int, int]) -> None:
    segments, first, second, rng = placed(size)
    E, _, R = size
    same(lambda x: kernels.gather(x, first), table(rng, R, 3))
    for shape in ((3,), (2, 3), (), (130,)):
        same(lambda x: kernels.gather_sum(x, first, segments), table(rng, R, *shape))
    same(lambda x: kernels.segment_sum(x, segments), table(rng, E, 3))
    for a, b in WIDTHS:
        same(lambda x, y: kernels.product_sum(x, first, y, second, segments), table(rng, R, *a), table(rng, R, *b))
        same(lambda x, y: kernels.product_sum(x, None, y, second, segments), table(rng, E, *a), table(rng, R, *b))
    for shape in ((3,), (2, 3)):
        same(lambda x, y: kernels.dot(x, first, y, None), table(rng, R, *shape), table(rng, E, *shape))
    same(lambda x: kernels.gather_max(x, first, segments), table(rng, R, 3))
    same(lambda x: kernels.segment_max(x, segments), table(rng, E, 3))


@pytest.mark.parametrize("n", [1, 3])
def test_few_long_segments(n: int) -> None:
    """They are summed in parts."""
    segments, first, second, rng = placed((500, n, 4))
    same(lambda x: kernels.gather_sum(x, first, segments), table(rng, 4, 3))
    same(lambda x, y: kernels.product_sum(x, None, y, second, segments), table(rng, 500, 2, 1), table(rng, 4, 2, 3))
    same(lambda x, y: kernels.dot(x, first, y, None), table(rng, 4, 2, 3), table(rng, 500, 2, 3))
    same(lambda x, y: kernels.act_sum("silu", [(x, first), (y, None)], segments), table(rng, 4, 2), table(rng, 500, 2))


def test_an_index_may_have_strides() -> None:
    pairs = torch.tensor([[0, 2], [1, 0], [1, 2]], device=DEVICE)
    x, segments = torch.randn(3, 2, dtype=torch.float64, device=DEVICE), Segments(torch.tensor([0, 0, 1], device=DEVICE), 2)
    assert torch.equal(kernels.gather_sum(x, pairs[:, 1], segments), torch.stack([x[2] + x[0], x[2]]))


@sizes
@pytest.mark.parametrize("name", kernels.ACTIVATIONS)
@pytest.mark.parametrize("summed", [True, False])
def test_activations(size: tuple[int, int, int], name: str, summed: bool) -> None:
    segments, first, second, rng = placed(size)
    E, n, R = size
    by = segments if summed else None
    same(lambda x, y, z: kernels.act_sum(name, [(x, first), (y, segments.index), (z, None)], by),
         table(rng, R, 2), table(rng, n, 2), table(rng, E, 2))  # fmt: skip
    same(lambda x, y: kernels.act_sum(name, [(x, first), (y, second)], by), table(rng, R, 2), table(rng, R, 2))
    same(lambda *t: kernels.act_sum(name, list(zip(t, (first, second, None, segments.index), strict=True)), by),
         table(rng, R, 2), table(rng, R, 2), table(rng, E, 2), table(rng, n, 2))  # fmt: skip
    same(kernels.shifted_softplus, 9 * table(rng, E, 2).detach())


@sizes
@pytest.mark.parametrize("shape", [(3,), (2, 2), (130,)])
def test_softmax(size: tuple[int, int, int], shape: tuple[int, ...]) -> None:
    segments, _, _, rng = placed(size)
    same(lambda x: kernels.softmax(x, segments), 9 * table(rng, size[0], *shape).detach())


def test_softmax_of_long_segments_and_at_the_ends() -> None:
    segments, _, _, rng = placed((500, 3, 4))
    x = table(rng, 500, 2).detach().to(DEVICE)
    by_kernel = segment_softmax.softmax(x, ops.by_segments(segments), 3)  # `kernels.softmax` does without it on a GPU
    with kernels.use("reference"):
        assert torch.allclose(by_kernel, kernels.softmax(x, segments), atol=1e-14)
    three = Segments(torch.tensor([0, 0, 1, 1, 3, 3], device=DEVICE), 4)
    x = torch.tensor([-1e4, 3.0, -math.inf, 1e30, math.nan, 0.0], device=DEVICE)
    y = kernels.softmax(x, three)
    assert y[:4].tolist() == [0, 1, 0, 1] and y[4:].isnan().all()


@sizes
@pytest.mark.parametrize(("K", "d"), [(5, 2), (1, 3), (70, 3)])
def test_outer_sums(size: tuple[int, int, int], K: int, d: int) -> None:
    segments, first, second, rng = placed(size)
    E, _, R = size
    same(lambda p, x: kernels.outer_sum(p, first, x, second, segments), table(rng, R, K), table(rng, R, d))
    same(lambda p, x: kernels.outer_sum(p, None, x, second, segments), table(rng, E, K), table(rng, R, d))


def test_the_largest_of_equals_and_of_no_number() -> None:
    segments = Segments(torch.tensor([0, 0, 0, 1, 1, 3], device=DEVICE), 4)
    x = torch.tensor([[1.0, 2.0], [1.0, math.nan], [0.0, 5.0], [-1.0, -2.0], [-1.0, -1.0], [-math.inf, 0.0]], device=DEVICE)
    edges = maxima.argmax(x, None, segments.pointer)
    assert edges.tolist() == [[0, 1], [3, 4], [-1, -1], [5, 5]]


def test_one_mask_on_every_device() -> None:
    from heliograph.kernels import cpu, cuda

    x = torch.randn(2000, 3, device=DEVICE)
    for seed, p in ((1, 0.5), (12345678901234567, 0.1), (2**62 - 1, 0.9)):
        theirs = torch.empty_like(x).view(-1)
        cuda.dropout(x.view(-1), seed & 0xFFFFFFFF, seed >> 32, p, theirs)
        ours = torch.empty(6000)
        cpu.dropout(x.cpu().view(-1).numpy(), seed & 0xFFFFFFFF, seed >> 32, p, 1, ours.numpy())
        assert torch.equal(theirs.cpu(), ours)
    same(lambda t: noise.dropout(t, 77, 0.4), table(torch.Generator().manual_seed(0), 11, 4))


def test_edges_grouped() -> None:
    index = torch.tensor([3, 0, 3, 1, 0], device=DEVICE)
    order, pointer = ops.group(index, 6)
    assert order.tolist() == [1, 4, 3, 0, 2] and pointer.tolist() == [0, 2, 3, 3, 5, 5, 5]
    assert all(a <= b for a, b in pairwise(pointer.tolist()))
    order, pointer = ops.group(index[:0], 2)
    assert order.tolist() == [] and pointer.tolist() == [0, 0, 0]


def test_every_loop_of_the_cpu_has_its_like() -> None:
    from heliograph.kernels import cpu, cuda

    missing = {loop.py_func.__name__ for loop in cpu.LOOPS if not callable(getattr(cuda, loop.py_func.__name__, None))}
    assert missing == {"form_sum", "form_dot", "coupled_sum", "coupled_dot", "terms_sum"}  # of multilinear forms: a GPU has the reference


def test_the_kernels_are_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.kernels import cuda

    segments, first, _, rng = placed(SIZES[0])
    monkeypatch.setattr(cuda, "gather_sum", lambda *args: args[-1].fill_(7))
    assert (kernels.gather_sum(table(rng, 3, 2).detach().to(DEVICE), first, segments) == 7).all()


@pytest.mark.parametrize("which", [["--first"], pytest.param([], marks=pytest.mark.slow)], ids=["first form", "all forms"])
def test_they_compile_for_a_gpu_that_is_not_there(which: list[str], tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.core.compile_cuda_kernels", *which]
    done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    from heliograph.kernels import programs

    known = {name for name, value in vars(programs).items() if "out" in getattr(value, "arg_names", ())}
    assert {line.split()[0] for line in done.stdout.splitlines()} == known


@pytest.mark.parametrize(
    ("arch", "geometry", "make"),
    [("gin", False, awkward), ("gat", False, strange), ("dmpnn", False, strange), ("gilmer", True, strange), ("schnet", True, strange)],
)
def test_whole_networks(arch: str, geometry: bool, make: Callable[[], Graph]) -> None:
    torch.manual_seed(0)
    net, graph = zoo.build(arch, Inputs(ATOMS, BONDS, geometry), 2, {"d": 8}).double().to(DEVICE).eval(), make().to(DEVICE)
    found = []
    for kind in ("reference", "fused"):
        with kernels.use(kind):
            y = net(graph)["y"]
            found.append([y, *torch.autograd.grad(y.square().sum(), list(net.parameters()), allow_unused=True, materialize_grads=True)])
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-10) for a, b in zip(*found, strict=True))


@gpu
def test_single_precision_on_a_gpu() -> None:
    from heliograph.kernels import cuda  # noqa: F401

    rng = torch.Generator().manual_seed(0)
    receivers = torch.randint(900, (20_000,), generator=rng).sort().values
    senders = torch.randint(1000, (20_000,), generator=rng)
    h, w, phi = (torch.randn(*shape, generator=rng) for shape in ((1000, 128), (20_000, 128), (20_000, 48)))
    found = []
    for device in ("cpu", "cuda", "cuda"):
        leaves = [t.to(device).requires_grad_() for t in (h, w, phi)]
        x, y, z = leaves
        segments, j = Segments(receivers.to(device), 1000), senders.to(device)
        total = (
            kernels.product_sum(x, j, y, None, segments).square().sum()
            + kernels.act_sum("silu", [(x, j), (y, None)], segments).square().sum()
            + kernels.outer_sum(z, None, x, j, segments).square().sum()
            + kernels.gather_max(x, j, segments).square().sum()
            + kernels.softmax(z, segments).square().sum()
        )
        found.append([total, *torch.autograd.grad(total, leaves)])
    for ours, theirs, again in zip(*found, strict=True):
        assert torch.equal(theirs, again)
        assert torch.allclose(ours, theirs.cpu(), rtol=1e-4, atol=1e-4 * float(ours.abs().max()))


@gpu
def test_half_precision_and_dropout_on_a_gpu() -> None:
    x = torch.randn(400, 16, device="cuda", requires_grad=True)
    with torch.autocast("cuda", torch.bfloat16):
        y = kernels.dropout(x.bfloat16(), 0.5)
        z = kernels.gather_sum(x.bfloat16(), None, Segments(torch.zeros(400, dtype=torch.long, device="cuda"), 1))
    assert y.dtype == torch.bfloat16 and z.dtype == torch.float32 and 0.4 < float((y == 0).float().mean()) < 0.6
    (y.float().sum() + z.sum()).backward()
    assert x.grad is not None and x.grad.isfinite().all()


@gpu
@pytest.mark.parametrize("arch", ["gat", "gin", "gilmer", "schnet", "gps", "dmpnn"])
def test_networks_train_on_a_gpu(arch: str) -> None:
    """The first outputs are the CPU's, and steps of Adam under autocast bring the loss down."""
    geometry = zoo.load(arch).GEOMETRY == "required"
    torch.manual_seed(0)
    net, graph = zoo.build(arch, Inputs(ATOMS, BONDS, geometry), 1).float(), awkward()
    want = net.eval()(graph)["y"].detach()
    net, graph = net.cuda(), graph.to("cuda")
    assert torch.allclose(net(graph)["y"].cpu(), want, rtol=1e-3, atol=1e-4)
    optimizer, losses = torch.optim.Adam(net.train().parameters(), lr=1e-3, fused=True), []
    for _ in range(20):
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            loss = (net(graph)["y"].float() - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
