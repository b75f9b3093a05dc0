"""Options made from fields, lists of values as people write them, TOML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.cli import frames
from heliograph.cli.options import expand_lists, options_of, pairs, read_toml
from heliograph.cli.train import FLAGS, GROUPS, OPTIONS, TOP, arguments, configure
from heliograph.errors import DataError, UsageError
from heliograph.train.config import TrainConfig


def test_every_field_is_an_option() -> None:
    names = {option.name for option in OPTIONS}
    fields = {name for model in GROUPS.values() for name in model.model_fields} | set(TOP)
    assert names == fields - {"arch_sha256"} | set(frames.OWN)  # a run writes the one; frames have others of their own
    of_frames = {name for model in frames.GROUPS.values() for name in model.model_fields}
    assert of_frames <= names and set(frames.OWN) <= of_frames
    assert len({s for option in OPTIONS for s in option.spellings}) == sum(len(option.spellings) for option in OPTIONS)
    assert set(TOP) | set(GROUPS) == set(TrainConfig.model_fields)
    assert options_of(TrainConfig, "Run")[0].long == "--output-dir"


def test_lists_of_values() -> None:
    assert arguments(["data.csv", "--target-columns", "a", "b c", "-o", "run"]) == [
        "data.csv", "-o", "run", "--target-columns=a", "--target-columns=b c"]  # fmt: skip
    assert arguments(["--target-columns", "a", "data.csv", "--epochs", "3"])[-2:] == ["data.csv", "--target-columns=a"]
    assert arguments(["--split-sizes", "0.8", "0.1", "0.1", "x.csv"])[0] == "x.csv"
    assert arguments(["--resume", "--target-columns", "a", "b"]) == ["--resume", "--target-columns=a", "--target-columns=b"]
    assert arguments(["-i", "x.csv", "--metrics", "mae", "rmse"]) == ["-i", "x.csv", "--metrics=mae", "--metrics=rmse"]
    assert arguments(["x.csv", "--arch-args", "d=8", "depth=2", "--", "-y"])[-2:] == ["--", "-y"]
    with pytest.raises(UsageError, match="at least one value"):
        arguments(["--target-columns", "--epochs", "3"])
    assert expand_lists(["--strict", "x.csv"], OPTIONS, FLAGS, ()) == ["--strict", "x.csv"]


def test_arguments_of_an_architecture() -> None:
    assert pairs(["d=8", "tied=true", "aggregate=sum", 'name="x"', "lr=1e-3"]) == {
        "d": 8, "tied": True, "aggregate": "sum", "name": "x", "lr": 1e-3}  # fmt: skip
    with pytest.raises(UsageError, match="NAME=VALUE"):
        pairs(["d"])


def test_command_line_wins_over_toml(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data-path = "x.csv"\nepochs = 3\n[fit]\nbatch_size = 7\n[model]\narch = "gin"\narch_args = {d = 8}\n')
    config = configure(None, file, False, {"epochs": "5"})
    assert (config.fit.epochs, config.fit.batch_size, config.model.arch, config.model.arch_args) == (5, 7, "gin", {"d": 8})
    assert config.data.data_path == Path("x.csv")


def test_toml_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    for text, kind, words in [
        ("epochs = ", DataError, "not valid TOML"),
        ("[data]\nepochs = 3\n", UsageError, r"line 2: the key 'epochs' belongs in \[fit\]"),
        ("[fitt]\nepochs = 3\n", UsageError, "unknown key 'fitt'"),
    ]:
        file.write_text(text)
        with pytest.raises(kind, match=words):
            read_toml(file, GROUPS, TOP)
    with pytest.raises(DataError, match="no such file"):
        read_toml(tmp_path / "none.toml", GROUPS, TOP)
    file.write_text('data_path = "x"\nloss = "maee"\n')
    with pytest.raises(UsageError, match=r"loss in .*c.toml: must be .*did you mean 'mae'"):
        configure(None, file, False, {})
