"""The numbers of other packages, made again by the scripts that made the files, where somebody has these packages.

HELIOGRAPH_ORACLE_ENVS names a folder of environments: mace (mace-torch), graphpes (graph-pes), schnetpack; see the heads of the scripts.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "file", "environment"),
    [
        ("mace_oracle", "mace_torch", "mace"),
        ("nequip_oracle", "nequip_graph_pes", "graphpes"),
        ("painn_oracle", "painn_schnetpack", "schnetpack"),
    ],
)
def test_the_scripts_make_the_numbers(script: str, file: str, environment: str, tmp_path: Path) -> None:
    python = Path(os.environ.get("HELIOGRAPH_ORACLE_ENVS", "")) / environment / "bin" / "python"
    if not python.is_file():
        pytest.skip("needs the other package: set HELIOGRAPH_ORACLE_ENVS")
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    subprocess.run([python, SCRIPTS / f"{script}.py", tmp_path / "made.npz"], check=True, env=environ, capture_output=True)
    made, kept = np.load(tmp_path / "made.npz"), np.load(Path(__file__).with_name(f"{file}.npz"))
    assert set(made.files) == set(kept.files)
    for name in kept.files:
        np.testing.assert_allclose(made[name], kept[name], rtol=1e-9, atol=1e-9, err_msg=name)
