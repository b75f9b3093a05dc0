"""Trains the generator that is shipped, `heliograph/generate/smallmol.safetensors`, on the shipped molecules.

    python scripts/make_generator.py FOLDER   # about a quarter of an hour of CPU time on one core; give it again to go on after a stop

The folder keeps the run (metrics.csv, the state to resume from). Only a training that reached its end replaces the shipped file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from heliograph.files import atomic
from heliograph.generate import runner
from heliograph.generate.config import GenerateTrainConfig, GeneratorConfig, GeneratorFit

EPOCHS = 29
MOST_BYTES = 3_000_000


def main(folder: Path) -> None:
    config = GenerateTrainConfig(
        generator=GeneratorConfig(data_path=Path("smallmol"), properties=("gap", "dipole"), d=96, depth=5),
        fit=GeneratorFit(epochs=EPOCHS, max_lr=5e-3, decay_from=0.7),
        output_dir=folder,
    )
    found = runner.run(config, resume=(folder / runner.CONFIG).is_file())
    model = found.model.read_bytes()
    if len(model) > MOST_BYTES:
        raise SystemExit(f"{found.model} has {len(model):,} bytes, more than {MOST_BYTES:,}")
    with atomic(runner.SHIPPED) as temporary:
        temporary.write_bytes(model)
    print(f"{runner.SHIPPED}: validation loss {found.val_loss:.4g}, {len(model):,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
