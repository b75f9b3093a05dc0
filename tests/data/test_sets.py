"""Data sets: the catalogue, fetching from a local server with every kind of trouble, conversions, and the set that ships."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from heliograph.data import sets
from heliograph.data.formats import read
from heliograph.data.record import Geometry, MolBlock
from heliograph.data.sets import convert, download, listing, smallmol
from heliograph.data.sets.listing import DataSet, RemoteFile
from heliograph.errors import DataError, HeliographError, UsageError

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
SHA = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; `cut_at[name]` closes the connection after so many bytes, once; `ranges` says whether Range is honoured."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut_at: dict[str, int] = {}
        self.ranges = True
        self.asked: list[str] = []

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name, wanted = self.path.lstrip("/"), self.headers.get("Range")
        self.server.asked.append(wanted or "all")
        if name not in self.server.files:
            self.send_error(404)
            return
        body, start = self.server.files[name], 0
        if wanted and self.server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = self.server.cut_at.pop(name, None)
        self.wfile.write(body[start:cut])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_downloads_checks_and_reports(server: Server, tmp_path: Path) -> None:
    server.files["a.csv"] = CONTENT
    seen: list[tuple[str, int, int | None]] = []
    file = RemoteFile("a.csv", (server.address("a.csv"),), len(CONTENT), SHA)
    path = download.download(file, tmp_path / "new", lambda *what: seen.append(what))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("a.csv", len(CONTENT), len(CONTENT)) and seen[0][1] < len(CONTENT)
    assert left(tmp_path / "new") == ["a.csv"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_breaks_is_resumed(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.files["a.csv"], server.cut_at["a.csv"], server.ranges = CONTENT, 300_000, ranges
    file = RemoteFile("a.csv", (server.address("a.csv"),), sha256=SHA)
    assert download.download(file, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["all", "bytes=300000-"]


def test_what_an_earlier_run_left_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    server.files["a.csv"] = CONTENT
    (tmp_path / ".a.csv.part").write_bytes(CONTENT[:1000])
    download.download(RemoteFile("a.csv", (server.address("a.csv"),), sha256=SHA), tmp_path)
    assert server.asked == ["bytes=1000-"]
    (tmp_path / "a.csv").rename(tmp_path / ".a.csv.part")  # whole already: the server has nothing after it
    download.download(RemoteFile("a.csv", (server.address("a.csv"),), sha256=SHA), tmp_path)
    assert left(tmp_path) == ["a.csv"]


def test_a_damaged_beginning_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.files["a.csv"] = CONTENT
    (tmp_path / ".a.csv.part").write_bytes(b"x" * 1000)
    path = download.download(RemoteFile("a.csv", (server.address("a.csv"),), sha256=SHA), tmp_path)
    assert path.read_bytes() == CONTENT and server.asked == ["bytes=1000-", "all"]


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.files["a.csv"] = CONTENT + b"!"
    for file in (
        RemoteFile("a.csv", (server.address("a.csv"),), sha256=SHA),
        RemoteFile("a.csv", (server.address("a.csv"),), md5=hashlib.md5(CONTENT).hexdigest()),
        RemoteFile("a.csv", (server.address("a.csv"),), size=len(CONTENT)),
    ):
        with pytest.raises(DataError, match=r"could not be downloaded(?s:.*)published(?s:.*)HELIOGRAPH_OFFLINE"):
            download.download(file, tmp_path)
        assert left(tmp_path) == []


def test_mirrors_are_tried_in_turn(server: Server, tmp_path: Path) -> None:
    server.files["good.csv"], server.files["bad.csv"] = CONTENT, b"<html>sign in</html>"
    with Server() as dead:
        gone = dead.address("a.csv")  # nobody listens there once it is closed
    addresses = (gone, server.address("not-there.csv"), server.address("bad.csv"), server.address("good.csv"))
    assert download.download(RemoteFile("a.csv", addresses, sha256=SHA), tmp_path).read_bytes() == CONTENT
    with pytest.raises(DataError) as caught:
        download.download(RemoteFile("b.csv", addresses[:3], sha256=SHA), tmp_path)
    text = str(caught.value)
    assert "refused" in text and "404" in text and "sha256 is" in text
    assert left(tmp_path) == ["a.csv"]


def test_without_a_checksum_the_first_download_holds(server: Server, tmp_path: Path) -> None:
    file = RemoteFile("a.csv", (server.address("a.csv"),))
    server.files["a.csv"] = CONTENT
    download.download(file, tmp_path).unlink()
    assert (tmp_path / "a.csv.sha256").read_text() == f"{SHA}  a.csv\n"
    server.files["a.csv"] = CONTENT[::-1]
    with pytest.raises(DataError, match="the first download had"):
        download.download(file, tmp_path)
    assert left(tmp_path) == ["a.csv.sha256"]
    (tmp_path / "a.csv.sha256").unlink()
    assert download.download(file, tmp_path).read_bytes() == CONTENT[::-1]


def test_several_at_once_download_once(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="no file locks on this system")
    server.files["a.csv"] = CONTENT
    file = RemoteFile("a.csv", (server.address("a.csv"),), sha256=SHA)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: download.download(file, tmp_path), range(4)))
    assert server.asked == ["all"] and {path.read_bytes() for path in paths} == {CONTENT}
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HeliographError, match="can't write"):
        download.download(RemoteFile("a.csv", (server.address("a.csv"),)), tmp_path / "file")


@pytest.fixture
def one_set(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """The catalogue holds one set, `tiny`, which the local server has."""
    server.files["tiny.csv"] = b"smiles,y\nCCO,1.5\nCCN,2.5\n"
    digest = hashlib.sha256(server.files["tiny.csv"]).hexdigest()
    tiny = DataSet("tiny", "two rows", 2, {"y": "eV"}, "nobody", "none", "tiny.csv", files=(
        RemoteFile("tiny.csv", (server.address("tiny.csv"),), sha256=digest),))  # fmt: skip
    monkeypatch.setattr(listing, "_SETS", (listing.find("smallmol"), tiny))
    monkeypatch.setenv("HELIOGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HELIOGRAPH_OFFLINE", raising=False)
    return tiny


def test_fetch_once_then_read(one_set: DataSet, server: Server, tmp_path: Path) -> None:
    assert not sets.fetched("tiny")
    with pytest.raises(DataError, match="Run: heliograph data fetch tiny"):
        sets.path_of("tiny")
    path = sets.fetch("tiny")
    assert path == sets.path_of("tiny") == tmp_path / "cache" / "sets" / "tiny" / "tiny.csv"
    assert sets.fetch("tiny") == path and len(server.asked) == 1 and sets.fetched("TINY")
    assert [record.targets["y"] for record in read(path)] == ["1.5", "2.5"]
    assert sets.fetch("tiny", folder=tmp_path / "here") == tmp_path / "here" / "tiny.csv"


def test_offline_folder(one_set: DataSet, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline = tmp_path / "usb"
    with pytest.raises(UsageError, match="not a folder"):
        sets.fetch("tiny", offline=offline)
    offline.mkdir()
    monkeypatch.setenv("HELIOGRAPH_OFFLINE", str(offline))
    with pytest.raises(DataError, match=r"no tiny.csv in the offline folder .*Download it from http"):
        sets.fetch("tiny")
    (offline / "tiny.csv").write_bytes(server.files["tiny.csv"] + b"!")
    with pytest.raises(DataError, match="is not the file that was published: sha256"):
        sets.fetch("tiny")
    assert left(sets.folder_of("tiny")) == []
    (offline / "tiny.csv").write_bytes(server.files["tiny.csv"])
    assert sets.fetch("tiny").read_bytes() == server.files["tiny.csv"]
    assert server.asked == []


def test_the_catalogue_is_complete_and_honest() -> None:
    names = [one.name for one in sets.catalogue()]
    assert names[0] == "smallmol" and len(set(names)) == len(names)
    assert set(names) >= {"qm9", "qm7", "esol", "freesolv", "lipophilicity", "bbbp", "tox21", "sider", "toxcast", "hiv", "qm8"}
    for one in sets.catalogue():
        assert one.records > 0 and one.source and one.licence and "\n" not in one.summary
        for file in one.files:
            assert all(address.startswith(("http://", "https://")) for address in file.addresses)
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.md5 is None or re.fullmatch("[0-9a-f]{32}", file.md5)
            assert file.sha256 or file.md5 or any("checksum" in note for note in one.notes)


def test_names() -> None:
    assert sets.find("QM9").targets[0] == "mu" and sets.find("delaney").name == "esol"
    with pytest.raises(UsageError, match="did you mean 'lipophilicity'"):
        sets.find("lipophilicty")


GDB9 = """5
gdb 1 157.7118 157.70997 157.70699 0. 13.21 -0.3877 0.1171 0.5048 35.3641 0.044749 -40.47893 -40.476062 -40.475117 -40.498597 6.469
C -0.0126981359 1.0858041578 0.0080009958 -0.535689
H 2.1997*^-6 -0.0060313176 0.0019761204 0.133921
H 1.0117308433 1.4637511618 0.0002765748 0.133922
H -0.540815069 1.4475266138 -0.8766437152 0.133923
H -0.5238136345 1.4379326443 0.9063972942 0.133923
1341.307 1341.3284 1341.365
C C
InChI=1S/CH4/h1H4 InChI=1S/CH4/h1H4
"""


def test_qm9_conversion(tmp_path: Path) -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as out:
        for k, text in ((1, GDB9), (2, GDB9.replace("gdb 1", "gdb 2")), (3, GDB9.replace("gdb 1", "gdb 3"))):
            info = tarfile.TarInfo(f"dsgdb9nsd_{k:06d}.xyz")
            info.size = len(text)
            out.addfile(info, io.BytesIO(text.encode()))
    (tmp_path / "raw.tar.bz2").write_bytes(bz2.compress(tar.getvalue()))
    (tmp_path / "un.txt").write_text("Index  Input SMILES\n=====\n     2   C  C  C\n")
    convert.qm9([tmp_path / "raw.tar.bz2", tmp_path / "un.txt"], tmp_path / "qm9.extxyz.gz")
    table = read(tmp_path / "qm9.extxyz.gz", target_columns=["u0_atom", "gap", "mu"])
    records = list(table)
    assert [record.meta["index"] for record in records] == ["1", "3"] and records[0].meta["smiles"] == "C"
    assert float(records[0].targets["gap"]) == pytest.approx(13.7363, abs=1e-3)  # eV
    assert float(records[0].targets["u0_atom"]) == pytest.approx(-17.1722, abs=1e-3)  # eV, the published -395.999 kcal/mol
    geometry = records[0].structure
    assert geometry.z.tolist() == [6, 1, 1, 1, 1] and geometry.pos[1, 0] == pytest.approx(2.1997e-6, abs=1e-8)  # type: ignore[union-attr]


def test_qm9_conversion_names_a_damaged_member(tmp_path: Path) -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as out:
        info = tarfile.TarInfo("dsgdb9nsd_000001.xyz")
        info.size = 5
        out.addfile(info, io.BytesIO(b"5\ngdb"))
    (tmp_path / "raw.tar.bz2").write_bytes(bz2.compress(tar.getvalue()))
    (tmp_path / "un.txt").write_text("")
    with pytest.raises(DataError, match=r"dsgdb9nsd_000001.xyz is not in the gdb9 format"):
        convert.qm9([tmp_path / "raw.tar.bz2", tmp_path / "un.txt"], tmp_path / "qm9.extxyz.gz")
    assert not (tmp_path / "qm9.extxyz.gz").exists()


def test_qm7_conversion(tmp_path: Path) -> None:
    from scipy.io import savemat

    z, r = np.zeros((2, 5)), np.zeros((2, 5, 3))
    z[0], z[1, :3], r[1, 1] = [6, 1, 1, 1, 1], [8, 1, 1], [1.0, 0.0, 0.0]
    raw = {"Z": z, "R": r, "T": np.array([[-417.96, -230.0]]), "P": np.array([[1], [0]])}
    savemat(tmp_path / "qm7.mat", raw)
    convert.qm7([tmp_path / "qm7.mat"], tmp_path / "qm7.extxyz.gz")
    records = list(read(tmp_path / "qm7.extxyz.gz", target_columns=["u0_atom"]))
    assert [record.meta["fold"] for record in records] == ["1", "0"]
    assert float(records[0].targets["u0_atom"]) == pytest.approx(-18.1245, abs=1e-3)
    geometry = records[1].structure
    assert geometry.z.tolist() == [8, 1, 1] and geometry.pos[1, 0] == pytest.approx(0.529177, abs=1e-6)  # type: ignore[union-attr]
    savemat(tmp_path / "bad.mat", {"R": r})
    with pytest.raises(DataError, match="is not the QM7 file"):
        convert.qm7([tmp_path / "bad.mat"], tmp_path / "bad.extxyz.gz")


def test_conversion_is_part_of_fetch(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.io import savemat

    savemat(tmp_path / "qm7.mat", {"Z": np.ones((1, 2)), "R": np.eye(3)[None, :2], "T": np.array([[-100.0]]), "P": np.array([[0]])})
    server.files["qm7.mat"] = (tmp_path / "qm7.mat").read_bytes()
    file = RemoteFile("qm7.mat", (server.address("qm7.mat"),), sha256=download.digest(tmp_path / "qm7.mat"))
    monkeypatch.setattr(listing, "_SETS", (replace(sets.find("qm7"), files=(file,)),))
    path = sets.fetch("qm7", folder=tmp_path / "out")
    assert gzip.decompress(path.read_bytes()).startswith(b"2\nProperties=species:S:1:pos:R:3 index=0 u0_atom=-4.336")


# The set that ships


@pytest.fixture(scope="module")
def molecules() -> smallmol.SmallMol:
    return smallmol.load()


def test_shipped_set_has_what_it_promises(molecules: smallmol.SmallMol) -> None:
    assert smallmol.PATH.stat().st_size < 5_000_000
    assert len(molecules) == sets.find("smallmol").records >= 5000
    assert len(set(molecules.smiles.tolist())) == len(molecules)
    assert len(molecules.z) == len(molecules.pos) == len(molecules.charges) == molecules.atom_offsets[-1]
    assert len(molecules.bonds) == len(molecules.bond_order) == molecules.bond_offsets[-1]
    assert set(np.unique(molecules.z)) == {1, 6, 7, 8, 9, 16, 17}
    about = molecules.provenance
    assert about["molecules"] == len(molecules) and about["molecules_tried"] == len(molecules) + sum(about["dropped"].values())
    assert {"made_by", "seed", "method", "versions", "stationary", "units", "date", "licence", "dropped"} <= set(about)
    assert sets.find("smallmol").units == smallmol.UNITS
    with np.load(smallmol.PATH, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_shipped_labels_are_physical(molecules: smallmol.SmallMol) -> None:
    assert molecules.max_force.max() <= 0.002  # stationary
    rows = np.repeat(np.arange(len(molecules)), np.diff(molecules.atom_offsets))
    free = np.bincount(rows, np.array([molecules.atom_energy.get(z, np.nan) for z in range(18)])[molecules.z])
    np.testing.assert_allclose(molecules.energy - free, molecules.atomization_energy, atol=1e-6)
    assert molecules.atomization_energy.max() < 0
    np.testing.assert_allclose(molecules.gap, molecules.lumo - molecules.homo, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(molecules.dipole_vector, axis=1), molecules.dipole, atol=1e-4)
    charge = np.bincount(rows, molecules.charges)
    np.testing.assert_allclose(charge, np.bincount(rows, molecules.formal_charge), atol=2e-3)  # each rounded to 1e-4
    assert molecules.bond_order.min() > 0.5 and molecules.bond_order.max() < 3.2


def test_shipped_smiles_are_the_atoms_and_bonds(molecules: smallmol.SmallMol) -> None:
    from rdkit import Chem

    for row in range(0, len(molecules), 7):
        smiles = str(molecules.smiles[row])
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        assert [atom.GetAtomicNum() for atom in molecule.GetAtoms()] == molecules.z[molecules.atoms(row)].tolist()
        pairs, orders = molecules.bonds_of(row)
        assert [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.GetBonds()] == list(map(tuple, pairs.tolist()))
        assert len(orders) == len(pairs) and len(molecules.charges_of(row)) == molecule.GetNumAtoms()
        block = Chem.MolFromMolBlock(molecules.block(row).text, removeHs=False)
        Chem.AssignStereochemistryFrom3D(block)
        assert Chem.MolToSmiles(Chem.RemoveHs(block)) == smiles == Chem.CanonSmiles(smiles)
        np.testing.assert_allclose(block.GetConformer().GetPositions(), molecules.pos[molecules.atoms(row)], atol=1e-6)


def test_displaced_frames_have_forces(molecules: smallmol.SmallMol) -> None:
    frames = list(molecules.frames())
    rows = {frame.molecule for frame in frames}
    assert len(rows) >= 250 and 11 * len(rows) <= len(frames) <= 12 * len(rows)
    for frame in frames[::10]:
        assert frame.pos.shape == frame.forces.shape == (len(frame.z), 3)
        assert frame.energy > molecules.energy[frame.molecule] - 1e-3
        np.testing.assert_allclose(frame.forces.sum(axis=0), 0, atol=5e-3)


def test_records_and_the_readers(molecules: smallmol.SmallMol) -> None:
    record = next(iter(smallmol.records(targets=("gap",))))
    assert list(record.targets) == ["gap"] and isinstance(record.structure, MolBlock) and tuple(record.meta) == smallmol.COLUMNS
    assert float(record.meta["energy"]) == molecules.energy[0]
    assert next(iter(smallmol.records(structure="smiles"))).structure == molecules.smiles[0]
    geometry = next(iter(smallmol.records(structure="geometry"))).structure
    assert isinstance(geometry, Geometry) and len(geometry.z) == len(geometry.pos)
    with pytest.raises(UsageError, match="did you mean 'energy'"):
        next(iter(smallmol.records(targets=("enrgy",))))
    table = read("smallmol")
    assert table.columns == smallmol.COLUMNS and table.targets == smallmol.COLUMNS[1:]
    assert sum(1 for _ in table) == len(molecules)


def test_shipped_energies_come_out_again(molecules: smallmol.SmallMol) -> None:
    pytest.importorskip("tblite.interface", reason="tblite is not installed: the shipped energies are not computed anew")
    from heliograph.chem import xtb

    for row in range(0, len(molecules), len(molecules) // 8):
        labels = xtb.label(molecules.geometry(row), optimise=False)
        assert labels.energy == pytest.approx(molecules.energy[row], abs=2e-4)
        assert labels.atomization_energy == pytest.approx(molecules.atomization_energy[row], abs=2e-4)
        assert labels.gap == pytest.approx(molecules.gap[row], abs=1e-3) and labels.max_force < 0.004
        np.testing.assert_allclose(labels.charges, molecules.charges_of(row), atol=1e-3)
    for frame in list(molecules.frames())[::400]:
        labels = xtb.label(Geometry(frame.z, frame.pos), optimise=False)
        assert labels.energy == pytest.approx(frame.energy, abs=2e-4)
        np.testing.assert_allclose(labels.forces, frame.forces, atol=5e-3)


def archive(path: Path, members: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            out.addfile(info, io.BytesIO(text.encode()))
    return path


def test_graphs_become_tables_that_training_reads(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from heliograph.data.sets import graphs
    from heliograph.onegraph.config import GraphDataConfig
    from heliograph.onegraph.data import load

    members = {"cora/cora.content": "31336\t0\t1\tNeural\n10\t1\t0\tTheory\n", "cora/cora.cites": "10\t31336\n10\t7\n"}
    cora = archive(tmp_path / "cora.tgz", members)
    graphs.citations([cora], tmp_path / "nodes.parquet")
    table = pq.read_table(tmp_path / "nodes.parquet")
    assert table["x"].to_pylist() == [[0, 1], [1, 0]] and table["label"].to_pylist() == ["Neural", "Theory"]
    graph = load(GraphDataConfig(target_columns=("label",)), (tmp_path / "nodes.parquet", tmp_path / "edges.csv"))
    assert graph.ends.tolist() == [[0, 1]] and graph.encoders.width == 2 and sum(graph.reasons["edges"].values()) == 1
    lines = "NODE\tpaper\ncat=1,2,3:label\tnumeric:w-rat:0.0\tnumeric:w-insulin:0.0\tsummary\n7\tlabel=2\tw-insulin=0.5\tsummary=w\n"
    cites = "DIRECTED\tcites\nNO\n1\tpaper:7\t|\tpaper:9\n"
    members = {"a/X.NODE.paper.tab": lines + "9\tlabel=1\tw-rat=0.1\n", "a/X.DIRECTED.cites.tab": cites}
    other = archive(tmp_path / "p.tgz", members)
    graphs.pubmed([other], tmp_path / "nodes.parquet")
    table = pq.read_table(tmp_path / "nodes.parquet")
    assert np.allclose(table["x"].to_pylist(), [[0, 0.5], [0.1, 0]]) and table["label"].to_pylist() == ["class 2", "class 1"]
    assert (tmp_path / "edges.csv").read_text() == "source,target\n7,9\n"
    for name, text in (("train", "a\tr\tb\nb\tr\tc\n"), ("valid", "a\tr\tc\n"), ("test", "c\tr\ta\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    graphs.triples([tmp_path / f"{p}.txt" for p in ("train", "valid", "test")], tmp_path / "t.tsv")
    assert (tmp_path / "t.tsv").read_text().splitlines()[-2:] == ["a\tr\tc\tval", "c\tr\ta\ttest"]
    (tmp_path / "train.txt").write_text("0 5 6\n1 5\n"), (tmp_path / "test.txt").write_text("0 7\n1\n")
    graphs.interactions([tmp_path / "train.txt", tmp_path / "test.txt"], tmp_path / "e.parquet")
    assert pq.read_table(tmp_path / "e.parquet").to_pylist()[-1] == {"source": "0", "target": "7", "split": "test"}
    (tmp_path / "bad.tgz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="no archive"):
        graphs.citations([tmp_path / "bad.tgz"], tmp_path / "x.parquet")
    with pytest.raises(DataError, match="is no triple"):
        graphs.triples([tmp_path / "train.txt"] * 3, tmp_path / "t.tsv")
