"""Train the generator that ships with the package, `src/heliograph/generate/smallmol.safetensors`, on the molecules that ship with it.

    python scripts/make_generator.py FOLDER [--resume]

Leaves the run in FOLDER; copy its model.safetensors to where it ships. About a quarter of an hour of one idle core.
"""

from __future__ import annotations

import sys
from pathlib import Path

from heliograph.generate.config import GeneratorConfig, GeneratorFit, GenerateTrainConfig
from heliograph.generate.runner import run


def main(folder: Path, resume: bool) -> None:
    """Width 96, five blocks, conditions on the gap and the dipole moment."""
    generator = GeneratorConfig(data_path=Path("smallmol"), properties=("gap", "dipole"), d=96)
    run(GenerateTrainConfig(generator=generator, fit=GeneratorFit(epochs=60), output_dir=folder), resume=resume)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--resume" in sys.argv)
