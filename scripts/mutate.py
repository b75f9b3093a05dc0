"""Break one place of the wiring at a time and count what no test sees: `make mutate`, or python scripts/mutate.py --help.

A seeded sample of mutants of train/, compare/, estimators, predictor/, data/splits and cli/. Each is run in a copy of the checkout
against the tests that execute its line (from one run of all related tests under `coverage`), quick ones first. A mutant that none of
them notices is alive; one whose line no test executes is, too. Results come as JSON lines, and a table by file at the end.

Why no ready tool: mutmut wraps every function, which changes the signatures that this code reads, and cosmic-ray starts a process that
imports PyTorch and RDKit for seconds per mutant. Here a process that has imported them is forked.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "src/heliograph"
FILES = ("train/*.py", "compare/**/*.py", "estimators.py", "predictor/*.py", "data/splits.py", "cli/*.py")
TESTS = ("tests/wiring", "tests/safety", "tests/train", "tests/compare", "tests/predictor", "tests/cli", "tests/data/test_splits.py",
         "tests/data/test_spreadsheets.py", "tests/data/test_formats.py", "tests/test_estimators.py", "tests/learn", "tests/report",
         # rooms whose verbs lie in cli/
         "tests/active", "tests/diagnose", "tests/explain", "tests/generate/test_bad_input.py", "tests/generate/test_conformers.py",
         "tests/generate/test_crystals.py", "tests/generate/test_molecules.py", "tests/generate/test_report.py",
         "tests/generate/test_shipped.py", "tests/onegraph", "tests/potential", "tests/screen", "tests/serve", "tests/uncertainty",
         "tests/core/test_rewire.py")  # fmt: skip
HEAVY = ("torch", "numpy", "scipy.stats", "scipy.optimize", "sklearn.ensemble", "sklearn.kernel_ridge", "rdkit.Chem.AllChem", "pydantic",
         "typer", "rich", "safetensors.torch", "lightning_fabric", "pyarrow.parquet", "jinja2", "pytest")  # fmt: skip
MAX_SECONDS = 60.0  # of the tests of one mutant, unbroken; four times as long is a mutant that hangs, which is noticed

COMPARED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot,
            ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip
REPLACED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult,
            ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr}  # fmt: skip
NAMES = {"min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin", "any": "all", "all": "any", "mean": "sum", "nanmean": "nansum"}
UNSEEN = {"strict", "encoding", "newline", "errors", "stacklevel", "indent", "exist_ok", "parents"}  # arguments that change nothing here
TEXTS = {"train": "test", "val": "train", "test": "val"}


@dataclass(frozen=True)
class Mutant:
    """Change number `number` of a file, at `line`."""

    file: str
    number: int
    line: int
    what: str


class Breaker(ast.NodeVisitor):
    """Lists all changes of a tree, or makes the one of number `wanted`."""

    def __init__(self, wanted: int | None = None):
        self.wanted, self.inside = wanted, 0
        self.changes: list[tuple[int, str]] = []

    def offer(self, node: ast.AST, what: str, change: object) -> None:
        """One possible change; `change()` makes it in place."""
        if self.wanted == len(self.changes):
            change()  # type: ignore[operator]
        self.changes.append((node.lineno, what))  # type: ignore[attr-defined]

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return  # words
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        method = getattr(self, f"at_{type(node).__name__}", None)
        if method is not None and self.inside:
            method(node)
        deeper = isinstance(node, ast.FunctionDef)
        if deeper:
            self.inside += 1
            for child in node.body:
                self.visit(child)
            self.inside -= 1
            return
        if isinstance(node, ast.keyword) and node.arg in UNSEEN:
            return
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)

    def at_Compare(self, node: ast.Compare) -> None:
        for k, op in enumerate(node.ops):
            new = COMPARED[type(op)]
            self.offer(node, f"{type(op).__name__} -> {new.__name__}", lambda k=k, new=new: node.ops.__setitem__(k, new()))

    def at_BinOp(self, node: ast.BinOp) -> None:
        text = (ast.JoinedStr, ast.List, ast.Tuple, ast.Dict)
        if any(
            isinstance(side, text) or (isinstance(side, ast.Constant) and isinstance(side.value, str)) for side in (node.left, node.right)
        ):
            return
        if type(node.op) in REPLACED:
            new = REPLACED[type(node.op)]
            self.offer(node, f"{type(node.op).__name__} -> {new.__name__}", lambda: setattr(node, "op", new()))

    def at_BoolOp(self, node: ast.BoolOp) -> None:
        new = ast.Or if isinstance(node.op, ast.And) else ast.And
        self.offer(node, f"-> {new.__name__}", lambda: setattr(node, "op", new()))

    def at_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Compare):
            return  # its comparison is turned round anyway
        self.offer(node, "if -> if not", lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test)))

    def at_IfExp(self, node: ast.IfExp) -> None:
        def swap() -> None:
            node.body, node.orelse = node.orelse, node.body

        self.offer(node, "a if b else c -> c if b else a", swap)

    def at_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.USub):
            self.offer(node, "-x -> +x", lambda: setattr(node, "op", ast.UAdd()))

    def at_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.offer(node, f"{value} -> {not value}", lambda: setattr(node, "value", not value))
        elif isinstance(value, int):
            self.offer(node, f"{value} -> {value + 1}", lambda: setattr(node, "value", value + 1))
        elif isinstance(value, float):
            self.offer(node, f"{value} -> {2 * value + 1}", lambda: setattr(node, "value", 2 * value + 1))
        elif isinstance(value, str) and value in TEXTS:
            self.offer(node, f"{value!r} -> {TEXTS[value]!r}", lambda: setattr(node, "value", TEXTS[value]))

    def at_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in NAMES:
            new = NAMES[node.attr]
            self.offer(node, f".{node.attr} -> .{new}", lambda: setattr(node, "attr", new))

    def at_Name(self, node: ast.Name) -> None:
        if node.id in ("min", "max", "any", "all") and isinstance(node.ctx, ast.Load):
            new = NAMES[node.id]
            self.offer(node, f"{node.id} -> {new}", lambda: setattr(node, "id", new))

    def at_Call(self, node: ast.Call) -> None:
        for k, keyword in enumerate(node.keywords):
            if (
                keyword.arg is not None
                and keyword.arg not in UNSEEN
                and not (isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str))
            ):
                self.offer(node, f"without {keyword.arg}=", lambda k=k: node.keywords.pop(k))
        plain = [isinstance(a, ast.Name | ast.Attribute | ast.Subscript) for a in node.args]
        if len(plain) > 1 and plain[0] and plain[1]:

            def swap() -> None:
                node.args[0], node.args[1] = node.args[1], node.args[0]

            self.offer(node, "f(a, b) -> f(b, a)", swap)

    def at_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and not ast.unparse(node.value.func).endswith(".say"):
            self.offer(node, f"without {ast.unparse(node.value)[:40]}", lambda: setattr(node, "value", ast.Constant(None)))


def mutants(file: Path) -> list[Mutant]:
    breaker = Breaker()
    breaker.visit(ast.parse(file.read_text(encoding="utf-8")))
    name = file.relative_to(ROOT / PACKAGE).as_posix()
    return [Mutant(name, k, line, what) for k, (line, what) in enumerate(breaker.changes)]


def broken(file: Path, number: int) -> str:
    tree = copy.deepcopy(ast.parse(file.read_text(encoding="utf-8")))
    Breaker(number).visit(tree)
    return ast.unparse(ast.fix_missing_locations(tree))


def copied(into: Path) -> Path:
    """The files of the checkout that git knows or would take."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file() and not name.startswith("bench/results"):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, into / name)
    return into


def environment(place: Path) -> dict[str, str]:
    data = ROOT.parent / "shared" / "data"
    more = {"HELIOGRAPH_DATA": str(data)} if data.is_dir() and "HELIOGRAPH_DATA" not in os.environ else {}
    return os.environ | more | {"PYTHONPATH": str(place / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def executed(place: Path, cache: Path | None, tests: Sequence[str]) -> tuple[dict[str, dict[int, set[str]]], dict[str, float]]:
    """File -> line -> tests that execute it, and seconds of each test; `cache` keeps both. Tests that fail unbroken are left out."""
    if cache is not None and cache.is_file():
        held = json.loads(cache.read_text())
        return {f: {int(n): set(t) for n, t in lines.items()} for f, lines in held["lines"].items()}, held["seconds"]
    (place / "rc").write_text(f"[run]\nsource = {place}/{PACKAGE}\ndata_file = {place}/.coverage\n")
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={place}/rc", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p",
               "scripts.mutate_contexts", "-m", "not slow", *tests]  # fmt: skip
    done = subprocess.run(command, cwd=place, env=environment(place), check=False, capture_output=True, text=True)
    if not (place / "contexts.json").is_file():
        print(done.stdout[-4000:], done.stderr[-2000:], sep="\n", file=sys.stderr)
        raise SystemExit("the tests did not run")
    seen = json.loads((place / "contexts.json").read_text())
    if seen["failed"]:
        print("fail before anything is broken, and are left out:", *seen["failed"], sep="\n  ", file=sys.stderr)
    from coverage import CoverageData

    data = CoverageData(str(place / ".coverage"))
    data.read()
    lines: dict[str, dict[int, set[str]]] = {}
    for name in data.measured_files():
        found = {n: {t for c in cs for t in users(c, seen["users"])} for n, cs in data.contexts_by_lineno(name).items()}
        lines[Path(name).relative_to(place / PACKAGE).as_posix()] = {n: tests - set(seen["failed"]) for n, tests in found.items()}
    if cache is not None:
        plain = {f: {n: sorted(t) for n, t in found.items()} for f, found in lines.items()}
        cache.write_text(json.dumps({"lines": plain, "seconds": seen["seconds"]}))
    return lines, seen["seconds"]


def users(context: str, of_fixtures: dict[str, list[str]]) -> list[str]:
    """The tests behind a context: one, or all that ask for a fixture; the import of a module is none."""
    return of_fixtures.get(context.removeprefix("fixture:"), []) if context.startswith("fixture:") else [context] if context else []


def begin(place: Path, tests: list[str]) -> int:
    """The tests in a fork of this process, which has imported what takes long; its number."""
    if pid := os.fork():
        return pid
    os.setsid()
    os.chdir(place)
    os.environ.update(environment(place))
    sys.path[:0] = [str(place / "src"), str(place)]
    sink = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(sink, stream)
    try:
        import pytest

        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]))
    except BaseException:
        code = 70
    os._exit(code)


class Trial:
    """One mutant in one copy of the checkout."""

    def __init__(self, place: Path, mutant: Mutant, tests: list[str], seconds: float):
        self.place, self.mutant, self.tests, self.began = place, mutant, tests, time.monotonic()
        self.end = self.began + 60 + 4 * seconds
        self.file = place / PACKAGE / mutant.file
        self.whole = self.file.read_text(encoding="utf-8")
        self.result = "" if tests else "not executed"
        if tests:
            self.file.write_text(broken(self.file, mutant.number), encoding="utf-8")
            self.pid = begin(place, tests)

    def over(self) -> bool:
        """Whether it has come to an end; one that takes too long is ended."""
        if self.result:
            return True
        found, status = os.waitpid(self.pid, os.WNOHANG)
        if found:
            self.result = "alive" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        elif time.monotonic() > self.end:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.result = "timeout"
        if self.result:
            self.file.write_text(self.whole, encoding="utf-8")
        return bool(self.result)

    def line(self) -> dict[str, object]:
        m, took = self.mutant, round(time.monotonic() - self.began, 1)
        return {"file": m.file, "line": m.line, "what": m.what, "result": self.result, "tests": len(self.tests), "seconds": took}


def related(mutant: Mutant, lines: dict[str, dict[int, set[str]]], seconds: dict[str, float]) -> list[str]:
    """Tests that execute a mutant's line, or the beginning of its statement above, the quick ones first, of a minute in all."""
    own = lines.get(mutant.file, {})
    found = next((own[n] for n in range(mutant.line, mutant.line - 8, -1) if own.get(n)), set())
    ordered = sorted(found, key=lambda test: seconds.get(test, 0.0))
    total = list(accumulate(seconds.get(test, 0.0) for test in ordered))
    return [test for test, so_far in zip(ordered, total, strict=True) if so_far <= MAX_SECONDS] or ordered[:1]


def sample(files: tuple[str, ...], n: int, seed: int) -> Iterator[Mutant]:
    """Mutants of all files, the same share of each, in a random order."""
    found = [m for pattern in files for file in sorted((ROOT / PACKAGE).glob(pattern)) for m in mutants(file)]
    print(f"{len(found):,} mutants of {len({m.file for m in found})} files", file=sys.stderr)
    yield from random.Random(seed).sample(found, min(n, len(found)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after this time, baseline included")
    parser.add_argument("--number", type=int, default=400, help="mutants at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--files", nargs="*", default=FILES, help=f"patterns in {PACKAGE}")
    parser.add_argument("--tests", nargs="*", default=TESTS, help="what may notice them")
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--only-coverage", action="store_true", help="stop when --coverage is written")
    parser.add_argument("--coverage", type=Path, help="keep which test executes which line in this file, and use it the next time")
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    os.environ["OMP_NUM_THREADS"] = "1"
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with tempfile.TemporaryDirectory() as folder, open(asked.out, "w", encoding="utf-8") as out:
        places = [copied(Path(folder) / str(k)) for k in range(asked.jobs)]
        lines, seconds = executed(places[0], asked.coverage, asked.tests)
        if asked.only_coverage:
            return
        for name in HEAVY:
            __import__(name)
        waiting = deque(sample(tuple(asked.files), asked.number, asked.seed))
        running: list[Trial] = []
        while running or (waiting and time.monotonic() < end):
            while waiting and len(running) < asked.jobs and time.monotonic() < end:
                mutant = waiting.popleft()
                tests = related(mutant, lines, seconds)
                running.append(Trial(places.pop(), mutant, tests, sum(seconds.get(test, 0.0) for test in tests)))
            for trial in [t for t in running if t.over()]:
                running.remove(trial)
                places.append(trial.place)
                out.write(json.dumps(trial.line()) + "\n")
                out.flush()
                table[trial.mutant.file][0] += 1
                table[trial.mutant.file][1] += trial.result in ("alive", "not executed")
            time.sleep(0.05)
    for file, (n, alive) in sorted(table.items()):
        print(f"{file:<40} {alive:>3} of {n:>3} alive")
    n, alive = (sum(row[k] for row in table.values()) for k in (0, 1))
    print(f"{'all':<40} {alive:>3} of {n:>3} alive ({100 * alive / max(n, 1):.1f} %)")


if __name__ == "__main__":
    main()
