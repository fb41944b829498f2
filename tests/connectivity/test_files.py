"""Edges from tables and matrices: what is read, and how each kind of damage is reported."""

from __future__ import annotations

import io
import pickle
import random
import zipfile

import numpy as np
import pytest
from scipy import sparse

from nnspec.compiler.data import limits

from .specs import connection, pairs, refusal, resolved, spec

PAIRS = {(0, 1), (2, 0), (2, 1)}


@pytest.fixture
def read(tmp_path):
    """Edges between sides of 3 and 2 units, from a file of this content."""

    def of(content, edges='load("e.csv")', source=3, target=2, name="e.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return pairs(edges, source, target, folder=tmp_path)

    return of


@pytest.fixture
def refuse(tmp_path):
    """The error for a file of this content."""

    def of(content, edges='load("e.csv")', source=3, target=2, name="e.csv"):
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return refusal(edges, source, target, folder=tmp_path)

    return of


# ------------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize(
    "content",
    [
        "source,target\n0,1\n2,0\n2,1\n",
        "source,target\n0,1\n2,0\n2,1",
        "source,target\r\n0,1\r\n2,0\r\n2,1\r\n",
        "source,target\r0,1\r2,0\r2,1\r",
        "\ufeffsource,target\n0,1\n2,0\n2,1\n",
        "\n\nsource,target\n\n0,1\n   \n2,0\n2,1\n\n",
        '"source","target"\n"0","1"\n"2",0\n2,"1"\n',
        " source , target \n 0 , 1\n2, 0\n2,1 \n",
        "target,weight,source\n1,0.5,0\n0,,2\n1,x,2\n",
        'note,source,target\n"a, ""b""\nand c",0,1\n,2,0\n,2,1\n',
        "source,target\n+0,01\n2,-0\n2,1\n",
    ],
)
def test_tables(read, content):
    assert read(content) == PAIRS


def test_tabs(read):
    assert read("source\ttarget\n0\t1\n2\t0\n2\t1\n", 'load("e.tsv")', name="e.tsv") == PAIRS
    assert read("source\ttarget\n0\t1\n2\t0\n2\t1\n", 'load("E.TSV")', name="E.TSV") == PAIRS


def test_named_columns(read):
    content = "gene,pathway,source,target\n0,1,9,9\n2,0,9,9\n2,1,9,9\n"
    assert read(content, 'load("e.csv", source = "gene", target = "pathway")') == PAIRS
    assert read(content, 'load("e.csv", target = "pathway", source = "gene")') == PAIRS
    assert read("a b,ü\n0,1\n2,0\n2,1\n", 'load("e.csv", source = "a b", target = "ü")') == PAIRS


def test_grids(read):
    content = "source_0,source_1,target\n1,2,0\n0,1,1\n"
    assert read(content, source=(2, 3), target=2) == {(5, 0), (1, 1)}
    content = "target_1,from,target_0\n1,2,0\n0,1,1\n"
    assert read(content, 'load("e.csv", source = "from")', source=3, target=(2, 2)) == {(2, 1), (1, 2)}


def test_policies(read):
    content = "source,target\n0,1\n3,0\n2,-1\n0,1\n"
    assert read(content, 'load("e.csv", outside = skip, duplicate = merge)') == {(0, 1)}
    assert read(content, 'load("e.csv", outside = wrap, duplicate = merge)') == {(0, 1), (0, 0), (2, 1)}
    assert read("source,target\n", 'load("e.csv")') == set()


def test_within_algebra_and_loops(read, tmp_path):
    content = "source,target\n0,1\n2,0\n2,1\n"
    assert read(content, '(all - load("e.csv")) | { 0 -> 1 }') == {(0, 0), (1, 0), (1, 1), (0, 1)}
    (tmp_path / "level2.csv").write_text(content)
    text = spec('load("level{t}.csv")', 3, 2)
    head, _, wire = text.rpartition("\nconnect")
    network, _ = resolved(f"{head}\nfor t in 2..2 {{ connect{wire} }}\n", tmp_path)
    source, target = network.connections[0].edges.edges()
    assert set(zip(source.tolist(), target.tolist(), strict=True)) == PAIRS
    assert [file.name for file in network.files] == ["level2.csv"]


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("", "E608", "empty"),
        ("\n\n", "E608", "empty"),
        ("sorce,target\n0,1\n", "E609", "`source`"),
        ("source,source,target\n0,0,1\n", "E609", "`source`"),
        ("source,target\n0,1\n2\n", "E608", "line 3"),
        ("source,target\n0,1\n\n2,1,5\n", "E608", "line 4"),
        ("source,target\n0,1\n2,1.0\n", "E610", "line 3"),
        ("source,target\n0,1\nTP53,1\n", "E610", "`TP53`"),
        ("source,target\n0,1\n,1\n", "E610", "line 3"),
        ("source,target\n0,1_0\n", "E610", "1_0"),
        ("source,target\n0,٣\n", "E610", "line 2"),
        ("source,target\n0,99999999999999999999\n", "E610", "line 2"),
        ("source,target\n0," + "9" * 5000 + "\n", "E610", "line 2"),
        ('source,target\n0,"1\n', "E608", "end of data"),
        ("source,target\n0," + "1" * 200_000 + "\n", "E608", "field"),
        (b"source,target\n\xff\xfe,1\n", "E608", "UTF-8"),
        (b"source,target\n0\x00,1\n", "E608", "line 2"),
        ("source;target\n0;1\n", "E609", "`source`"),
    ],
)
def test_damaged_tables(refuse, content, code, says):
    found = refuse(content)
    assert found.code.code == code
    assert says in found.message + " ".join(found.help) + found.label


def test_lines_are_named(refuse):
    found = refuse("source,target\n0,1\n\n2,5\n9,9\n")
    assert (found.code.code, found.label) == ("E204", "line 5 of e.csv")  # sources are looked at first
    found = refuse("source,target\n0,1\n\n2,-1\n")
    assert (found.code.code, found.label) == ("E204", "line 4 of e.csv")
    found = refuse("source,target\n0,1\n2,0\n\n0,1\n0,1\n")
    assert (found.code.code, found.label) == ("E311", "again on line 5 of e.csv")
    assert "0 -> 1" in found.message
    found = refuse("source,target\n0,1\n3,1\n", 'load("e.csv", outside = wrap)')
    assert (found.code.code, found.label) == ("E311", "again on line 3 of e.csv")
    found = refuse("source,target\n0,1\n7,7\n0,1\n", 'load("e.csv", outside = skip)')
    assert (found.code.code, found.label) == ("E311", "again on line 4 of e.csv")


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        ('load("e.csv", rows = source)', "E224"),
        ('load("e.csv", source = gene)', "E229"),
        ("load(e)", "E229"),
        ("load()", "E226"),
        ('load("e.csv", outside = drop)', "E227"),
        ('load("e.csv", outsde = skip)', "E223"),
        ('load("e.csv", "f.csv")', "E224"),
        ('load("e.txt")', "E605"),
        ('load("e")', "E605"),
        ('load("e.parquet")', "E601"),
        ('load("e.csv", where = column("a") == 1)', "E609"),
        ('load("e.csv", where = column("source"))', "E218"),
        ('load("f.csv")', "E601"),
        ('load("sub/e.csv")', "E601"),
        ('load("")', "E605"),
        ('load("folder.csv")', "E602"),
        ('load("e.csv/x.csv")', "E601"),
        ('load("' + "n" * 400 + '.csv")', "E604"),
        ('load("a\0b.csv")', None),
    ],
)
def test_arguments(refuse, tmp_path, edges, code):
    (tmp_path / "folder.csv").mkdir()
    found = refuse("source,target\n0,1\n", edges)
    assert code in (found.code.code, None)


def test_did_you_mean(refuse):
    found = refuse("source,target\n0,1\n", 'load("edgs.csv")', name="edges.csv")
    assert found.help == ("did you mean `edges.csv`?",)
    found = refuse("sorce,target\n0,1\n")
    assert found.help == ("did you mean `sorce`?",)
    assert refusal('load("x.csv")').code.code == "E601"  # not even the folder is there


def test_a_large_file(refuse, monkeypatch):
    monkeypatch.setattr(limits, "TEXT_SIZE_LIMIT", 10)
    found = refuse("source,target\n0,1\n")
    assert (found.code.code, found.message) == ("E603", "e.csv has 18 bytes, and 10 are the most")


def test_arrays_and_texts_have_limits_of_their_own(read, monkeypatch):
    monkeypatch.setattr(limits, "FILE_SIZE_LIMIT", 100)
    assert read("source,target\n" + "0,1\n" + "\n" * 100) == {(0, 1)}
    monkeypatch.setattr(limits, "TEXT_SIZE_LIMIT", 10)
    monkeypatch.setattr(limits, "FILE_SIZE_LIMIT", 1 << 20)
    matrix = saved(np.array([[0, 1], [1, 0]]))
    assert read(matrix, 'load("m.npy", rows = source)', 2, 2, "m.npy") == {(0, 1), (1, 0)}


# ---------------------------------------------------------------------------------------------- matrices


def matrix_of(edges, n_source, n_target):
    source, target = np.array(sorted(edges)).T
    return sparse.coo_array((np.ones(len(source)), (target, source)), shape=(n_target, n_source))


def saved(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint16, np.int64, np.float16, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_matrices(read, kind, order):
    """The orientation, checked by a product: an (out, in) matrix maps inputs to outputs."""
    out_in = matrix_of(PAIRS, 3, 2)
    mask = np.asarray(out_in.toarray(), kind, order=order)
    by_target = read(saved(mask), 'load("m.npy", rows = target)', name="m.npy")
    by_source = read(saved(mask.T), 'load("m.npy", rows = source)', name="m.npy")
    assert by_target == by_source == PAIRS
    x = np.array([1.0, 10.0, 100.0])
    product = np.zeros(2)
    for source, target in by_target:
        product[target] += x[source]
    np.testing.assert_array_equal(product, out_in @ x)


def test_npz(read, tmp_path):
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, mask=matrix_of(PAIRS, 3, 2).toarray())
        assert read(buffer.getvalue(), 'load("m.npz", rows = target)', name="m.npz") == PAIRS


def test_grids_as_matrices(read):
    mask = np.zeros((6, 4))
    mask[5, 2] = 1
    assert read(saved(mask), 'load("m.npy", rows = source)', (2, 3), (2, 2), "m.npy") == {(5, 2)}


def test_whole_matrices(tmp_path):
    for mask, kind in ((np.ones((3, 3)), "Full"), (np.eye(3), "Diagonal")):
        np.save(tmp_path / "m.npy", mask)
        found = connection('load("m.npy", rows = source)', 3, 3, folder=tmp_path).edges
        assert type(found).__name__ == kind


def test_turned(refuse):
    found = refuse(saved(np.ones((3, 2))), 'load("m.npy", rows = target)', name="m.npy")
    assert (found.code.code, found.help) == ("E612", ("its transpose would fit: `rows = source`",))
    found = refuse(saved(np.ones((3, 4))), 'load("m.npy", rows = target)', name="m.npy")
    assert (found.code.code, found.help) == ("E612", ())
    assert refuse(saved(np.ones(6)), 'load("m.npy", rows = target)', name="m.npy").code.code == "E612"


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        ('load("m.npy")', "E611"),
        ('load("m.npy", rows = columns)', "E227"),
        ('load("m.npy", rows = "source")', "E227"),
        ('load("m.npy", rows = source, outside = skip)', "E224"),
        ('load("m.npy", rows = source, source = "a")', "E224"),
    ],
)
def test_matrix_arguments(refuse, edges, code):
    assert refuse(saved(np.ones((3, 2))), edges, name="m.npy").code.code == code


OBJECTS = np.array([[1, 0], [0, 1], [1, "x"]], object)


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (saved(np.full((3, 2), 2)), "E607", "2"),
        (saved(np.array([[0, 1], [0.5, 1], [0, 0]])), "E607", "0.5"),
        (saved(np.array([[0, 1], [np.nan, 1], [0, 0]])), "E607", "nan"),
        (saved(np.array([["0", "1"]] * 3)), "E607", "U1"),
        (saved(np.ones((3, 2), complex)), "E607", "complex"),
        (saved(np.ones((3, 2), [("a", int)])), "E607", ""),
        (saved(np.zeros((3, 2), "M8[s]")), "E607", ""),
        (saved(OBJECTS, allow_pickle=True), "E606", "Python objects"),
        (pickle.dumps(OBJECTS), "E606", ""),
        (b"", "E606", ""),
        (b"source,target\n0,1\n", "E606", ""),
        (saved(np.ones((3, 2)))[:-1], "E606", ""),
        (saved(np.ones((3, 2)))[:60], "E606", ""),
        (saved(np.ones((3, 2)))[:6], "E606", ""),
    ],
)
def test_damaged_matrices(refuse, content, code, says):
    found = refuse(content, 'load("m.npy", rows = source)', name="m.npy")
    assert found.code.code == code
    assert says in found.message


def header(text, data=b""):
    """A .npy file with this header, whatever it promises."""
    raw = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + data


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 2)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 9)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 2)}",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': [1, 2], 'fortran_order': False, 'shape': (3, 2)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
        "{'descr': '<f8', 1: 2}",
        "[]",
        "__import__('os')",
        "(" * 110,
    ],
)
def test_headers_that_lie(refuse, text):
    found = refuse(header(text), 'load("m.npy", rows = source)', name="m.npy")
    assert found.code.code in ("E606", "E607", "E612")


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (zipped([]), "E606"),
        (zipped([("a.npy", saved(np.eye(3))), ("b.npy", saved(np.eye(3)))]), "E606"),
        (zipped([("a.txt", b"hello")]), "E606"),
        (zipped([("a.npy", b"hello")]), "E606"),
        (zipped([("a.npy", saved(OBJECTS, allow_pickle=True))]), "E606"),
        (zipped([("a.npy", saved(np.eye(3)))])[:-30], "E606"),
        (b"PK\x03\x04", "E606"),
        (saved(np.eye(3))[:20] + b"PK\x05\x06" + b"\0" * 18, "E606"),
    ],
)
def test_damaged_archives(refuse, content, code):
    found = refuse(content, 'load("m.npz", rows = source)', 3, 3, name="m.npz")
    assert found.code.code == code


def test_an_archive_that_unpacks_to_too_much(refuse, monkeypatch):
    content = zipped([("a.npy", saved(np.zeros((1000, 1000))))])
    monkeypatch.setattr(limits, "UNPACKED_LIMIT", 1_000_000)
    assert len(content) < 20_000
    found = refuse(content, 'load("m.npz", rows = source)', 3, 3, name="m.npz")
    assert found.code.code == "E630"
    assert "8,000,128 bytes" in found.message


MARKET = 'load("m.mtx", rows = source)'


def test_bytes_at_random(tmp_path):
    """Every damaged file is read or refused, never more."""
    sound = {
        "m.npy": (saved(np.eye(3)), 'load("m.npy", rows = source)'),
        "m.npz": (zipped([("a.npy", saved(np.eye(3)))]), 'load("m.npz", rows = source)'),
        "p.npz": (zipped([("source.npy", saved([0, 1])), ("target.npy", saved([1, 2]))]), 'load("p.npz")'),
        "m.mtx": (b"%%MatrixMarket matrix coordinate real general\n3 3 2\n1 1 2\n2 3 4\n", MARKET),
        "e.gmt": (b"1\tx\t0\t2\n0\ty\t1\n", 'load("e.gmt")'),
        "e.csv": (b'source,target\n0,1\n"2",0\n', 'load("e.csv")'),
    }
    generator = random.Random(1)
    for name, (content, edges) in sound.items():
        for _ in range(150):
            damaged = bytearray(content)
            for _ in range(generator.randint(1, 3)):
                at = generator.randrange(len(damaged))
                match generator.randrange(3):
                    case 0:
                        damaged[at] = generator.randrange(256)
                    case 1:
                        del damaged[at : at + generator.randint(1, 9)]
                    case _:
                        damaged[at:at] = generator.randbytes(generator.randint(1, 4))
                damaged = damaged or bytearray(b"x")
            (tmp_path / name).write_bytes(damaged)
            resolved(spec(edges, 3, 3), tmp_path)
