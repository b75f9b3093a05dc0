"""Programs as a graph: which use of a variable is a mistake? Tables from Python files, for `heliograph train`.

    python examples/programs.py FOLDER_OR_FILE ... -o programs
    heliograph train programs/programs.toml --target-columns node.misused --splits-column node.part -o run

Nodes are those of Python's syntax tree; edges lead to children, to the next sibling, to the next use of the same variable, and from a
call of a function of the same file to its definition. In some functions one use of a variable is replaced by another variable of that
function, as by a slip (Allamanis et al. 2018, arXiv:1711.00740, sec. 4): `misused` is 1 there, 0 at as many other uses, and blank
elsewhere. Names themselves are no features: only the graph tells. A file is in one part as a whole.
"""

from __future__ import annotations

import argparse
import ast
import csv
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

RELATIONS = ("child", "sibling", "use", "call")
SHARE = 0.3  # of the functions with two variables or more
Function = ast.FunctionDef | ast.AsyncFunctionDef


def uses(function: Function) -> list[ast.Name]:
    """Where the function reads one of its own variables."""
    own = {a.arg for a in ast.walk(function.args) if isinstance(a, ast.arg)}
    own |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return [n for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in own]


def plant(tree: ast.AST, rng: random.Random) -> dict[ast.AST, int]:
    """Change one use in some functions; the labels of it and of another one."""
    labels: dict[ast.AST, int] = {}
    for function in ast.walk(tree):
        found = uses(function) if isinstance(function, Function) else []
        names = sorted({n.id for n in found})
        if len(names) < 2 or len(found) < 3 or rng.random() > SHARE or any(n in labels for n in found):
            continue
        wrong, right = rng.sample(found, 2)
        wrong.id = rng.choice([name for name in names if name != wrong.id])
        labels |= {wrong: 1, right: 0}
    return labels


def edges(tree: ast.AST) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """(relation, from, to) of a file."""
    defined = {n.name: n for n in ast.walk(tree) if isinstance(n, Function)}
    for node in ast.walk(tree):
        children = [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.expr_context)]
        yield from (("child", node, c) for c in children)
        yield from (("sibling", a, b) for a, b in pairwise(children))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            yield "call", node, defined[node.func.id]
        if isinstance(node, Function):
            last: dict[str, ast.AST] = {}
            own = [n for n in ast.walk(node) if isinstance(n, ast.Name | ast.arg)]
            for name in sorted(own, key=lambda n: (n.lineno, n.col_offset)):
                key = name.id if isinstance(name, ast.Name) else name.arg
                if key in last:
                    yield "use", last[key], name
                last[key] = name


def write(files: list[Path], out: Path, seed: int = 0) -> dict[str, int]:
    """The tables and their schema in the folder `out`; how many nodes, mistakes, and edges of each kind there are."""
    rng, out_of = random.Random(seed), dict.fromkeys(("nodes", "mistakes", *RELATIONS), 0)
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[list[str]]] = {"node": [["id", "kind", "misused", "part"]], **{r: [["source", "target"]] for r in RELATIONS}}
    for path in files:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        part, labels = rng.choices(("train", "val", "test"), (0.7, 0.15, 0.15))[0], plant(tree, rng)
        name = {n: f"{path}:{k}" for k, n in enumerate(ast.walk(tree)) if not isinstance(n, ast.expr_context)}
        for node, own in name.items():
            rows["node"].append([own, type(node).__name__, str(labels.get(node, "")), part])
        for relation, a, b in edges(tree):
            rows[relation].append([name[a], name[b]])
        out_of["mistakes"] += sum(labels.values())
    for table, lines in rows.items():
        with open(out / f"{table}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
        out_of["nodes" if table == "node" else table] = len(lines) - 1
    kinds = "".join(f'[edges.{r}]\npath = "{r}.csv"\nfrom = "node"\nto = "node"\n' for r in RELATIONS if out_of[r])
    (out / "programs.toml").write_text(f'[nodes.node]\npath = "node.csv"\n{kinds}', encoding="utf-8")
    return out_of


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("paths", nargs="+", type=Path)
    options.add_argument("-o", type=Path, default=Path("programs"))
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    files = [f for p in given.paths for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    print("  ".join(f"{count:,} {name}" for name, count in write(files, given.o, given.seed).items()))


if __name__ == "__main__":
    main()
