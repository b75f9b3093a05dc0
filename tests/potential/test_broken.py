"""A file of which one frame in a hundred is broken: nothing is lost, in training and in prediction."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np

from heliograph.data.frames import read
from heliograph.learn.progress import silent
from heliograph.potential.config import FrameFit, FramesConfig, PotentialConfig, TrainPotential
from heliograph.potential.potential import Potential
from heliograph.potential.result import PotentialResult
from heliograph.potential.runner import run
from heliograph.potential.use import predict
from tests.potential.test_run import TINY, frames

BROKEN = {
    20: "2\nProperties=species:S:1:pos:R:3 energy=1\nO 0 0 0\nO 0 0 0\n",  # one place
    120: "2\nProperties=species:S:1:pos:R:3 energy=1\nO 0 0 0\nO 1 x 0\n",
    170: "2\nProperties=species:S:1:pos:R:3:forces:R:2 energy=1\nO 0 0 0 1 1\nO 2 0 0 1 1\n",
}


def test_one_in_a_hundred(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "good.extxyz", frames(297, periodic=False))
    text = (tmp_path / "good.extxyz").read_text(encoding="utf-8").splitlines(keepends=True)
    each = ["".join(text[k : k + 6]) for k in range(0, len(text), 6)]
    for place, frame in BROKEN.items():
        each.insert(place, frame)
    data = tmp_path / "data.extxyz"
    data.write_text("".join(each), encoding="utf-8")
    config = TrainPotential(
        frames=FramesConfig(data_path=data),
        potential=PotentialConfig(arch_args=TINY),
        fit=FrameFit(epochs=1, batch_size=64),
        output_dir=tmp_path / "run",
    )
    run(config, progress=silent())
    result = PotentialResult.load(tmp_path / "run")
    assert result.frames == 300 and sum(result.sizes.values()) == 297
    assert [number for number, _ in result.bad] == list(BROKEN)
    assert "one place" in result.bad[0][1] and "pos" in result.bad[1][1] and "forces are (2, 2), not 2 x 3" in result.bad[2][1]
    done = predict(Potential.load(tmp_path / "run"), data, tmp_path / "out.extxyz", 32, False, silent())
    assert done.frames == 300 and done.done == 298  # without labels a frame of wrong labels can be used
    back = list(read(tmp_path / "out.extxyz"))
    assert len(back) == 300 and [k for k, f in enumerate(back) if "reason" in f.info or f.reason] == [20, 120]
    energies = [float(f.info["energy"]) for f in back if "energy" in f.info]
    assert len(energies) == 298 and np.isfinite(energies).all()
