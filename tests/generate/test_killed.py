"""A training that is killed at a random moment, three times, ends with the weights of one that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.generate.test_molecules import table


@pytest.mark.slow
def test_kill_nine_three_times(tmp_path: Path) -> None:
    data = table(tmp_path, 60)
    sizes = ["--d", "16", "--depth", "1", "--sets", "4", "--pair", "8", "--epochs", "40", "--batch-size", "4", "--properties", "gap"]

    def start(run: str, *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "heliograph", "generate", "train", str(data), *sizes, "-o", str(tmp_path / run), "-q", *more]
        return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})

    assert start("whole").wait() == 0
    rng, kills = np.random.default_rng(0), 0
    while True:
        there = (tmp_path / "killed" / "config.toml").exists()
        process = start("killed", *(["--resume"] if there else []))
        if kills == 3:
            assert process.wait() == 0
            break
        while not (tmp_path / "killed" / "resume" / "state.safetensors").exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0.3, 1.5)) + (4.0 if there else 0.0))  # loading takes a while before it goes on
        if process.poll() is not None:
            break  # it was quicker than the killer
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills > 0
    one, two = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "killed"))
    assert set(one) == set(two) and all(torch.equal(one[k], two[k]) for k in one)
    outputs = []
    for run in ("whole", "killed"):  # and the same seed gives the same file, byte for byte
        out = tmp_path / f"{run}.sdf"
        sample = [sys.executable, "-m", "heliograph", "generate", "sample", str(tmp_path / run), "-n", "5", "-o", str(out), "-q"]
        subprocess.run(sample, check=True)
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]
