"""A training that is killed and goes on ends with the same weights, bit for bit, as one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from heliograph.errors import DataError, UsageError
from heliograph.learn.loop import Member
from heliograph.train import run as package_run
from heliograph.train import toml
from heliograph.train.config import TrainConfig
from heliograph.train.runner import run

Config = Callable[..., TrainConfig]
SCRIPT = """
import sys
from pathlib import Path
import heliograph.train.assemble as a
import heliograph.train.runner as r
from heliograph.train import toml
a.SAVE_EVERY = float(sys.argv[2])
r.run(toml.load(Path(sys.argv[1])).model_copy(update={"output_dir": Path(sys.argv[3])}), resume=True)
"""


def same_weights(a: Path, b: Path) -> bool:
    left, right = load_file(a), load_file(b)
    return left.keys() == right.keys() and all(left[k].numpy().tobytes() == right[k].numpy().tobytes() for k in left)


def without_clock(path: Path) -> list[str]:
    """Lines of metrics.csv but for the two columns of time."""
    return [line.rsplit(",", 2)[0] for line in path.read_text().splitlines()]


class Stop(Exception):
    """Stands for the kill."""


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9, "ensemble_size": 2, "weight_decay": 0.01}, {"arch": "gin"}, {"precision": "64"}])
def test_stopped_anywhere(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]) -> None:
    """Stopped after steps 1, 4, 6 and 8 of 9 a member, within and at ends of epochs, saving at every step."""
    monkeypatch.setattr("heliograph.train.assemble.SAVE_EVERY", -1.0)
    whole = config(output_dir=tmp_path / "whole", **changes)
    run(whole)
    original = Member.step
    for steps in (1, 3, 2, 2):
        left = [steps]

        def step(self: Member, *args: object, left: list[int] = left) -> tuple[float, float, float]:
            if not left[0]:
                raise Stop
            left[0] -= 1
            return original(self, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(Member, "step", step)
        with pytest.raises(Stop):
            run(config(output_dir=tmp_path / "cut", **changes), resume=True)
    monkeypatch.setattr(Member, "step", original)
    cut = run(config(output_dir=tmp_path / "cut", **changes), resume=True)
    for name in cut.model_files:
        assert same_weights(tmp_path / "whole" / name, tmp_path / "cut" / name)
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    assert without_clock(tmp_path / "whole" / "metrics.csv") == without_clock(tmp_path / "cut" / "metrics.csv")
    logs = [[line.rsplit("  ", 1)[0] for line in (tmp_path / d / "train.log").read_text().splitlines()] for d in ("whole", "cut")]
    assert logs[0] == logs[1]


def kill_once(script: list[str], folder: Path, lines: int, delay: float) -> None:
    """Run until metrics.csv has `lines` lines, wait a little, kill -9."""
    with subprocess.Popen(script, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            metrics = folder / "metrics.csv"
            if metrics.is_file() and metrics.read_bytes().count(b"\n") >= lines:
                time.sleep(delay)
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        errors = process.stderr.read().decode() if process.stderr else ""
        assert "Traceback" not in errors, errors


def killed(config: Config, tmp_path: Path, epochs: int, kills: int, save_every: float) -> None:
    asked = config(epochs=epochs)
    toml.save(asked, tmp_path / "asked")
    run(asked.model_copy(update={"output_dir": tmp_path / "whole"}))
    cut = tmp_path / "cut"
    script = [sys.executable, "-c", SCRIPT, str(tmp_path / "asked"), str(save_every), str(cut)]
    chance = random.Random(7)
    for k in range(kills):
        kill_once(script, cut, 2 + (k + 1) * epochs // (kills + 2), 0.05 * chance.random())
    assert not (cut / "results.json").exists()
    subprocess.run(script, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == (cut / "model.safetensors").read_bytes()
    assert without_clock(tmp_path / "whole" / "metrics.csv") == without_clock(cut / "metrics.csv")


def test_killed_once(config: Config, tmp_path: Path) -> None:
    killed(config, tmp_path, epochs=60, kills=1, save_every=60.0)


@pytest.mark.slow
@pytest.mark.parametrize("save_every", [0.0, 60.0])
def test_killed_five_times(config: Config, tmp_path: Path, save_every: float) -> None:
    killed(config, tmp_path, epochs=200, kills=5, save_every=save_every)


def test_a_finished_run_is_given_back(config: Config) -> None:
    first = run(config())
    again = run(config(), resume=True)
    assert again.finished == first.finished
    assert again.metrics == first.metrics


def test_another_run_in_the_folder(config: Config) -> None:
    run(config())
    with pytest.raises(UsageError, match=r"holds a run already: --resume .* --overwrite"):
        run(config())
    with pytest.raises(UsageError, match=r"--epochs was 3, is 4"):
        run(config(epochs=4), resume=True)
    with pytest.raises(UsageError, match="exclude one another"):
        run(config(), resume=True, overwrite=True)
    run(config(), overwrite=True)


def test_the_table_has_changed_since(config: Config, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Member, *args: object) -> None:
        raise Stop

    monkeypatch.setattr(Member, "_validate", stop)
    monkeypatch.setattr("heliograph.train.assemble.SAVE_EVERY", -1.0)
    with pytest.raises(Stop):
        run(config())
    table.write_text(table.read_text().replace("CCO,3.", "CCO,4."))
    with pytest.raises(DataError, match="was of something else"):
        run(config(), resume=True)


def test_two_runs_are_one_run(config: Config, tmp_path: Path) -> None:
    files = []
    for name in "ab":
        run(config(output_dir=tmp_path / name))
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert files[0] == files[1]
    assert package_run is not None


def test_an_architecture_of_ones_own_must_stay_as_it_was(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.toml"
    layer = "[[layers]]\nmessage = 'gin.Message(edges, 8)'\naggregate = 'max'\nupdate = 'GRU(8)'\n"
    mine.write_text(f"embed = 'Embed(nodes, 8)'\nreadout = 'Pool(Head(8, out))'\n{layer}")
    original, left = Member.step, [4]

    def step(self: Member, *args: object) -> tuple[float, float, float]:
        left[0] -= 1
        if left[0] < 0:
            raise Stop
        return original(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Member, "step", step)
    with pytest.raises(Stop):
        run(config(arch=str(mine), arch_args={}))
    monkeypatch.setattr(Member, "step", original)
    text = mine.read_text()
    mine.write_text(text.replace("max", "sum"))
    with pytest.raises(DataError, match="architecture was"):
        run(config(arch=str(mine), arch_args={}), resume=True)
    mine.write_text(text)
    assert len(run(config(arch=str(mine), arch_args={}), resume=True).history) == 3
