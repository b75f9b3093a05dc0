"""One choice at a time: depth, aggregation, readout, tied weights; everything else stays the same, on the shipped molecules.

    python bench/choices.py [--target gap] [--sample 1000] [--epochs 30] [--cv 1x5] [--runs FOLDER] [-o FILE.jsonl]

The network in the middle: GIN's message with bonds, summed, a GRU, four steps of width 64, the mean over atoms. Each other learner
differs from it in one thing. Same folds for all (`heliograph compare`), no baselines but its own, nothing tuned, float32, seed 0. Killed?
The same command goes on. A line has the mean and the standard deviation over folds, and the difference to the network in the middle with
its 95 % interval (all pairs together).
"""

from __future__ import annotations

from pathlib import Path

from common import Lines, parser

from heliograph.compare import CompareConfig, CompareOptions, run
from heliograph.train import DataConfig, FitConfig

TEMPLATE = """
embed = "Embed(nodes, d)"
readout = "{readout}"
[arguments]
d = 64
[[layers]]
repeat = {depth}
tied = {tied}
message = "gin.Message(edges, d)"
aggregate = "{aggregate}"
update = "GRU(d)"
"""
MIDDLE = {"readout": "Pool(Head(d, out), mean)", "depth": 4, "tied": "false", "aggregate": "sum"}
CHOICES = {
    "middle": {},
    **{f"depth-{k}": {"depth": k} for k in (1, 2, 3, 6, 8)},
    **{f"messages-{name}": {"aggregate": name} for name in ("mean", "max")},
    **{f"readout-{name}": {"readout": f"Pool(Head(d, out), {name})"} for name in ("sum", "max")},
    "readout-set2set": {"readout": "Pool(Head(2 * d, out), Set2Set(d, 3))"},
    "tied": {"tied": "true"},
}


def main() -> None:
    options = parser(__doc__, steps=0)
    options.add_argument("--target", default="gap")
    options.add_argument("--sample", type=int, default=1000)
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--cv", default="1x5")
    options.add_argument("--runs", type=Path, default=Path("run-choices"))
    asked = options.parse_args()
    folder = asked.runs / asked.target
    (folder / "learners").mkdir(parents=True, exist_ok=True)
    files = [folder / "learners" / f"{name}.toml" for name in CHOICES]
    for path, changes in zip(files, CHOICES.values(), strict=True):
        path.write_text(TEMPLATE.format(**MIDDLE | changes))
    config = CompareConfig(
        data=DataConfig(data_path=Path("smallmol"), target_columns=(asked.target,), num_workers=0),
        compare=CompareOptions(archs=tuple(map(str, files)), cv=asked.cv, sample=asked.sample),
        fit=FitConfig(epochs=asked.epochs, batch_size=32, max_lr=2e-3, accelerator="cpu"),
        output_dir=folder / "comparison",
    )
    line = Lines(asked)
    result = run(config, resume=(config.output_dir / "journal.jsonl").is_file())
    names = {Path(learner.name).stem: learner.name for learner in result.learners if learner.network}
    for name, learner in names.items():
        pair = result.pair(names["middle"], learner) if name != "middle" else None
        spread = {} if pair is None else {"difference": pair.difference, "low": pair.low, "high": pair.high, "differ": bool(pair.differ)}
        about = {"learner": name, "target": asked.target, "metric": result.metric, "molecules": result.molecules, "epochs": asked.epochs}
        scores = {"folds": len(result.folds), "mean": result.mean(learner), "std": float(result.table.of(learner).std(ddof=1))}
        line(about | scores | spread)


if __name__ == "__main__":
    main()
