"""Tables of strangers: string ids, shuffled rows, garbage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliograph.data.columns import Encoder
from heliograph.data.formats.graph_files import read_graph_file
from heliograph.data.formats.graph_tables import read_edges, read_nodes
from heliograph.errors import DataError
from heliograph.onegraph.config import GraphDataConfig
from heliograph.onegraph.data import clean, load


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_bad_rows_of_nodes_keep_their_place_with_a_reason(tmp_path: Path) -> None:
    nodes = read_nodes(write(tmp_path / "n.csv", "id,label,f\na,x,1\nb,y,2\n c ,x,3\nb,x,4\nd,x\n,x,5\ne,y,6,7\nf,x,8\n"))
    assert nodes.ids.to_pylist()[:3] == ["a", "b", "c"] and len(nodes) == 8
    assert dict(nodes.reasons) == {
        3: "an id that came before",
        4: "2 fields, the header has 3",
        5: "no id",
        6: "4 fields, the header has 3",
    }
    assert nodes.usable.tolist() == [0, 1, 2, 7]


@pytest.mark.parametrize("text", ['id,label\na,"x\nb,y\nc,x\n', "id,label\na,x\udcff\nb,y,z\nc,x\n"], ids=["quote", "bytes"])
def test_a_damaged_line_costs_itself_only(tmp_path: Path, text: str) -> None:
    nodes = read_nodes(write(tmp_path / "n.csv", text))
    assert len(nodes) == 3 and len(nodes.reasons) <= 1 and "c" in nodes.ids.to_pylist()


def test_edges_are_counted_out_with_reasons_and_found_by_their_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "w,source,target\n1,a,b\n2,b,c\n3,c,zz\n4,,a\n5,c\n6,c,a\n")
    edges = read_edges(path, pa.array(["c", "b", "a"]))
    assert edges.columns == ("source", "target") and edges.ends.tolist() == [[2, 1], [1, 0], [0, 2]]
    assert edges.rows.tolist() == [0, 1, 5] and edges.cells["w"].to_pylist() == ["1", "2", "6"]
    assert edges.reasons == {
        "2 fields, the header has 3": 1,
        "an end is blank": 1,
        "an end is not in the table of nodes": 1,
    }
    free = read_edges(path)  # without a table of nodes its own ids are the nodes
    assert set(free.ids.to_pylist()) == {"a", "b", "c", "zz"} and len(free.ends) == 4


def test_formats_and_memory_agree(tmp_path: Path) -> None:
    table = pa.table({"u": ["1", "2", "3"], "v": ["2", "3", "1"], "w": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "e.parquet")
    write(tmp_path / "e.tsv", "u\tv\tw\n1\t2\t1\n2\t3\t2\n3\t1\t3\n")
    found = [read_edges(given) for given in (table, table.to_pandas(), tmp_path / "e.parquet", tmp_path / "e.tsv")]
    for one in found[1:]:
        assert one.ids.to_pylist() == found[0].ids.to_pylist() and (one.ends == found[0].ends).all()


def test_two_sides_have_ids_of_their_own() -> None:
    edges = read_edges(pa.table({"user": ["1", "2", "1"], "item": ["1", "1", "7"]}), two_sides=True)
    assert edges.first_side == 2 and edges.ids.to_pylist() == ["1", "2", "1", "7"] and edges.ends.tolist() == [[0, 2], [1, 2], [0, 3]]


def test_errors_name_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "a,b\nx,y\n")
    with pytest.raises(DataError, match="no column 'c'"):
        read_edges(path, end_columns=("a", "c"))
    with pytest.raises(DataError, match="no such file"):
        read_edges(tmp_path / "none.csv")
    with pytest.raises(DataError, match="none of its 1 rows is an edge"):
        read_edges(path, pa.array(["q"]))
    with pytest.raises(DataError, match="no header line"):
        read_nodes(write(tmp_path / "empty.csv", ""))


def test_loops_and_repeated_edges_are_left_out_once() -> None:
    ends = np.array([[0, 1], [1, 0], [1, 1], [0, 1], [2, 0]], np.int32)
    keep, reasons, _ = clean(ends, directed=False)
    assert keep.tolist() == [0, 4]
    assert reasons == {
        "an edge from a node to itself": 1,
        "an edge that came before": 1,
        "the way back of an edge that came before (edges are undirected)": 1,
    }
    keep, reasons, _ = clean(ends, directed=True)
    assert keep.tolist() == [0, 1, 4] and reasons == {"an edge from a node to itself": 1, "an edge that came before": 1}
    keep, _, _ = clean(ends, directed=True, relation=np.array([0, 0, 0, 1, 0]))
    assert keep.tolist() == [0, 1, 2, 3, 4]  # another relation is another edge, and a relation to oneself may be


def test_columns_become_features_that_another_table_gets_too() -> None:
    table = pa.table({"n": ["1", "3", "", "5"], "flag": ["0", "1", "1", "0"], "kind": ["a", "b", "a", "b"], "text": ["p", "q", "r", "s"],
                      "same": ["1", "1", "1", "1"]})  # fmt: skip
    encoder, notes = Encoder.fit(table, table.column_names)
    assert [c.kind for c in encoder.columns] == ["number", "flag", "category"] and encoder.width == 5
    x = encoder.encode(table)
    assert np.allclose(x[:, 0], [-2 / np.sqrt(8 / 3), 0, 0, 2 / np.sqrt(8 / 3)]) and x[:, 1].tolist() == [0, 0, 1, 0]
    assert x[:, 3:].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert len(notes) == 2 and "different values" in notes[0] and "same value" in notes[1]
    again = Encoder.from_dict(encoder.to_dict())
    other = pa.table({"n": [3.0], "flag": [1], "kind": ["new"]})
    assert again.encode(other)[0].tolist() == [0, 0, 1, 0, 0]


def test_one_file_holds_a_graph(tmp_path: Path) -> None:
    nx = pytest.importorskip("networkx")
    from scipy.io import mmwrite
    from scipy.sparse import save_npz

    graph = nx.Graph()
    for k, name in enumerate(["ann", "bob", "cy"]):
        graph.add_node(name, age=30 + k, town=["north", "south"][k % 2])
    graph.add_edge("ann", "bob", weight=2.0)
    graph.add_edge("bob", "cy", weight=0.5)
    nx.write_graphml(graph, tmp_path / "g.graphml")
    nx.write_gexf(graph, tmp_path / "g.gexf")
    for name in ("g.graphml", "g.gexf"):
        nodes, edges = read_graph_file(tmp_path / name)
        assert nodes is not None and nodes["id"].to_pylist() == ["ann", "bob", "cy"] and nodes["age"].to_pylist() == ["30", "31", "32"]
        assert edges["source"].to_pylist() == ["ann", "bob"] and [float(w) for w in edges["weight"].to_pylist()] == [2.0, 0.5]
        read = load(GraphDataConfig(level="link"), (None, tmp_path / name))
        assert read.N == 3 and len(read.ends) == 2 and read.encoders.nodes.width == 3
    A = nx.to_scipy_sparse_array(graph, weight="weight")
    mmwrite(tmp_path / "g.mtx", A)
    save_npz(tmp_path / "g.npz", A.tocsr())
    for name in ("g.mtx", "g.npz"):
        read = load(GraphDataConfig(level="link"), (None, tmp_path / name))
        assert read.N == 3 and sorted(map(sorted, read.ends.tolist())) == [[0, 1], [1, 2]]
    write(tmp_path / "bad.graphml", "<graphml><node")
    with pytest.raises(DataError, match="no graphml file"):
        read_graph_file(tmp_path / "bad.graphml")


def test_a_graph_of_tables_has_everything_in_its_place() -> None:
    nodes = pa.table({"id": ["b", "a", "c"], "y": ["1", "0", "1"], "f": ["5", "1", "0"]})
    edges = pa.table({"source": ["a", "b"], "target": ["b", "c"], "kind": ["x", "y"]})
    graph = load(GraphDataConfig(target_columns=("y",)), (nodes, edges))
    assert graph.ids.to_pylist() == ["b", "a", "c"] and graph.ends.tolist() == [[1, 0], [0, 2]]
    whole = graph.store.graph()
    assert whole.E == 4 and whole.edges["edge_attr"].shape == (4, 2) and whole.nodes["x"].shape == (3, 1)
    t = whole.topology
    found = {(int(s), int(r)): e.tolist() for s, r, e in zip(t.senders, t.receivers, whole.edges["edge_attr"], strict=True)}
    assert found == {(1, 0): [1, 0], (0, 1): [1, 0], (0, 2): [0, 1], (2, 0): [0, 1]}
