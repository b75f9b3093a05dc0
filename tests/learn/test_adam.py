"""Adam is torch.optim's, bit for bit, and one training leaves out what takes seconds to import."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from heliograph.learn.adam import Adam

TRAINING = """
import sys
from tests.learn.test_loop import job
from heliograph.learn import train
train(job())
print([name for name in ("lightning_fabric", "torch._dynamo") if name in sys.modules])
"""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_numbers_are_those_of_torch(decay: float, dtype: torch.dtype) -> None:
    """Two groups, one without decay; a rate that changes; a parameter without gradient in every second step."""
    start = [torch.randn(3, 2, generator=torch.Generator().manual_seed(k)).to(dtype) for k in range(3)]
    ours, theirs = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    groups = [[{"params": side[:2]}, {"params": side[2:], "weight_decay": 0.0}] for side in (ours, theirs)]
    kind = torch.optim.AdamW if decay else torch.optim.Adam
    both = Adam(groups[0], 0.1, decay), kind(groups[1], lr=0.1, weight_decay=decay, fused=True)
    for step in range(5):
        for side, optimizer in zip((ours, theirs), both, strict=True):
            optimizer.zero_grad()
            assert all(p.grad is None for p in side)
            sum(p.pow(4).sum() for p in side[step % 2 :]).backward()  # type: ignore[union-attr]
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (step + 1)
            optimizer.step()
        assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))
    assert all(torch.equal(both[0].state[p][k], v) for p, q in zip(ours, theirs, strict=True) for k, v in both[1].state[q].items())


def test_one_training_imports_neither_a_compiler_nor_what_several_devices_need() -> None:
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
