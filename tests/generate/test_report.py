"""The report of generated molecules, what was asked against an oracle, and distributions against hand-made molecules."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from heliograph.chem.atoms import atoms_of
from heliograph.cli import main
from heliograph.data.sets import smallmol
from heliograph.generate import distributions, metrics, oracle, read
from heliograph.generate.data import Molecules
from heliograph.report import generation
from tests.generate.test_molecules import some, untrained


def named(*smiles: str) -> Molecules:
    shipped = smallmol.load()
    rows = [int(np.flatnonzero(shipped.smiles == s)[0]) for s in smiles]
    return read.joined([atoms_of(shipped.block(k)) for k in rows])


def test_distributions_of_known_molecules() -> None:
    m = named("CCO", "C1CC1")
    np.testing.assert_allclose(distributions.bond_lengths(m, 6, 8, 1), 1.41, atol=0.03)
    assert len(distributions.bond_lengths(m, 6, 6, 1)) == 4
    assert sorted(distributions.degrees(m)) == [2, 4, 4, 4, 4, 4]
    assert sorted(distributions.rings(m)) == [3, 3, 3]
    assert len(distributions.angles(m)) == 6 + 6 + 1 + 3 * 6
    assert np.isclose(distributions.angles(m), 60, atol=1).sum() == 3
    assert distributions.torsions(named("CCO")).size == 0
    butane = distributions.torsions(named("CCCC"))
    assert butane.shape == (1,) and min(abs(butane[0] - 180), abs(butane[0] - 62)) < 12


def test_what_was_asked_is_computed_where_it_lies() -> None:
    pytest.importorskip("tblite")
    shipped = smallmol.load()
    m = named("CCO", "C1CC1", "CCCC")
    rows = [int(np.flatnonzero(shipped.smiles == s)[0]) for s in ("CCO", "C1CC1", "CCCC")]
    gap = shipped.gap[rows]
    (found,), reasons = oracle.check(m, {"gap": gap + np.array([0.5, -0.5, np.nan]), "price": gap})
    assert not reasons and len(found.asked) == 2 and found.failures == 0
    np.testing.assert_allclose(found.got, gap[:2], atol=2e-3)
    assert found.mae == pytest.approx(0.5, abs=2e-3)
    a, g = found.asked, found.got
    assert found.shuffled == pytest.approx(np.mean([abs(x - y) for x in a for y in g]))
    broken = Molecules(**{**m.__dict__, "pos": m.pos * 0.0})
    (failed,), why = oracle.check(broken, {"gap": gap})
    assert failed.failures == 3 and np.isnan(failed.mae) and sum(why.values()) == 3


def test_the_report_shows_random_samples_and_works_offline(tmp_path: Path) -> None:
    m = some()
    found = metrics.molecules([m])
    asked = [oracle.Asked("gap", "eV", np.array([4.0, 5.0, 6.0]), np.array([4.1, np.nan, 6.5]))]
    curve = {5: found.shares, 50: found.shares}
    path = generation.write(generation.Content("some.sdf", m, found, m, found, asked, curve), tmp_path / "report.html")
    text = path.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    canvases = re.findall(r'<canvas class="view3d" data-atoms="(.*?)" data-bonds="(.*?)"', text)
    chosen = np.sort(np.random.default_rng(0).permutation(len(m))[:12])
    assert len(canvases) == 12
    for (atoms, bonds), k in zip(canvases, chosen, strict=True):
        assert len(json.loads(unescape(atoms))) == m.n_atoms[k]
        assert len(json.loads(unescape(bonds))) == len(m.order[m.bonds_of(k)])
    for words in ("Quality against steps", "Asked and got", "Sizes of rings", "C–H bonds", "95 % interval", "seed 0"):
        assert words in text
    alone = generation.write(generation.Content("some.sdf", m, found), tmp_path / "alone.html").read_text()
    assert "Asked and got" not in alone and "Quality against steps" not in alone


def test_a_report_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from heliograph.generate import write
    from heliograph.generate.sampler import Wish

    monkeypatch.chdir(tmp_path)
    drawn = untrained().sample(6, Wish(properties={"gap": (4.0, 6.0)}))
    (tmp_path / "new.sdf").write_text("".join(write.entries(drawn, ".sdf")))
    back, _ = read.as_written(tmp_path / "new.sdf")
    assert (back.properties["gap"] >= 4).all() and (back.properties["gap"] <= 6).all()

    def command(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["generate", "evaluate", *args])
        return (int(ended.value.code or 0), *capsys.readouterr())

    code, out, err = command("new.sdf", "--report", "report.html", "-o", "figures.json")
    assert code == 0 and (tmp_path / "report.html").stat().st_size > 10_000, (out, err)
    again = command("new.sdf", "--report", "report.html")
    assert again[0] == 2 and "exists" in again[2]
    (tmp_path / "x.cif").write_text("")
    assert "are for molecules" in command("x.cif", "--oracle")[2]
