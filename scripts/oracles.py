"""The table of proofs: what each architecture was computed by besides, and the largest difference, in predictions or in any gradient.

    python scripts/oracles.py

Runs tests/oracles and prints a table; a difference is a share of the largest entry of its tensor where that is above one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines.jsonl"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/oracles"],
            cwd=ROOT, env=os.environ | {"HELIOGRAPH_ORACLES": str(lines), "OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip
        worst: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for text in lines.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            worst[line["test"].split("[")[0]][line["dtype"].removeprefix("torch.")].append(line["worst"])
    print("\n| proof | cases | float64 | float32 |\n|---|---|---|---|")
    for test, found in sorted(worst.items()):
        file, name = test.removeprefix("tests/oracles/").split("::")
        columns = [f"{max(found[kind]):.0e}" if found[kind] else "" for kind in ("float64", "float32")]
        proof = f"{file.removesuffix('.py').removeprefix('test_')}: {name.removeprefix('test_')}"
        print(f"| {' | '.join([proof, str(sum(map(len, found.values()))), *columns])} |")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
