"""Write the tiny model file of the present format version, with its predictions, for tests/predictor/files.

Run once per format version, when it is released; the file is then never written again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from heliograph.learn.progress import silent
from heliograph.predictor import Predictor
from heliograph.predictor.modelfile import FORMAT_VERSION
from heliograph.train import DataConfig, FitConfig, ModelConfig, TrainConfig, run

SMILES = [
    "CCO",
    "c1ccccc1O",
    "CC(=O)N",
    "C",
    "C1CCCC1",
    "OCCO",
    "CC#N",
    "CCCCCC",
    "Cc1ccncc1",
    "F/C=C/Cl",
    "CC(C)(C)O",
    "C=O",
    "CO",
    "CCN",
    "CCOC",
]


def main(folder: Path) -> None:
    """Two D-MPNNs of width 4, trained for two epochs on the number of letters, with references."""
    path = folder / f"v{FORMAT_VERSION}.safetensors"
    if path.exists():
        sys.exit(f"{path} exists: a released file is never written again")
    with tempfile.TemporaryDirectory() as temporary:
        table = Path(temporary) / "letters.csv"
        table.write_text("smiles,letters,oxygens\n" + "\n".join(f"{s},{len(s)},{s.count('O') + 0.5}" for s in SMILES))
        config = TrainConfig(
            data=DataConfig(data_path=table, units=("letters", ""), num_workers=0),
            model=ModelConfig(arch="dmpnn", arch_args={"d": 4, "depth": 3}, references="fit", ensemble_size=2),
            fit=FitConfig(epochs=2, batch_size=4, baselines=False, accelerator="cpu"),
            output_dir=Path(temporary) / "run",
        )
        run(config, progress=silent())
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes((config.output_dir / "model.safetensors").read_bytes())
    y = Predictor.load(path).predict(SMILES).tolist()
    path.with_suffix(".json").write_text(json.dumps({"smiles": SMILES, "y": y}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(__file__).parent.parent / "tests" / "predictor" / "files")
