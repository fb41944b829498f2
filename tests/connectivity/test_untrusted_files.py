"""Files that are not what they should be: broken, hostile, of another kind, or made without care."""

from __future__ import annotations

import gzip
import io
import os
import signal
import tracemalloc
import zipfile

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import io as scipy_io
from scipy import sparse

from nnspec.backends.common.kernels.names import names_of
from nnspec.compiler.data import limits
from nnspec.compiler.data.matrices import BadMatrix, matrix_market
from nnspec.compiler.data.packed import parquet_size
from nnspec.compiler.graph.lower import lower
from nnspec.compiler.plan.plan import plan

from ..steps import assert_in_proportion, lines_run
from .specs import connection, model, pairs, refusal, resolved, spec

VALUE = 'weight = column("value")'
COLUMN = 'weight = column("w")'
NAMED = 'model m\naxis g = names("g.txt")\ninput x[g]\nlayer y[g]\nconnect x -> y : {edges}\n'


def only(text, folder, severity="error"):
    """The only finding of a severity."""
    _, diagnostics = resolved(text, folder)
    (found,) = (d for d in diagnostics if d.severity == severity)
    return found


def said(found):
    return " ".join((found.message, found.label, *found.help))


# ------------------------------------------------------------------------------- numbers that are no weights


def saved_as(kind, folder, wrong):
    """A 2 x 2 matrix or table, in a file of some kind, whose second value is wrong."""
    values = np.array([0.5, wrong])
    match kind:
        case "csv" | "tsv":
            mark = "," if kind == "csv" else "\t"
            rows = [("source", "target", "w"), (0, 1, 0.5), (1, 0, wrong)]
            (folder / f"f.{kind}").write_text("".join(mark.join(map(str, row)) + "\n" for row in rows))
        case "parquet":
            pl.DataFrame({"source": [0, 1], "target": [1, 0], "w": values}).write_parquet(
                folder / "f.parquet"
            )
        case "npz":
            np.savez(folder / "f.npz", source=[0, 1], target=[1, 0], w=values)
        case "mtx":
            scipy_io.mmwrite(folder / "f.mtx", sparse.coo_array((values, ([0, 1], [1, 0]))))
        case "csr" | "csc" | "coo":
            sparse.save_npz(folder / "f.npz", sparse.coo_array((values, ([0, 1], [1, 0]))).asformat(kind))
        case _:
            np.save(folder / "w.npy", values)
            np.save(folder / "f.npy", np.eye(2)[::-1])


KINDS = {
    "csv": ("csv", COLUMN, "line 3"),
    "tsv": ("tsv", COLUMN, "line 3"),
    "parquet": ("parquet", COLUMN, "row 2"),
    "npz": ("npz", COLUMN, "entry 1"),
    "mtx": ("mtx", VALUE, "line 5"),
    "csr": ("npz", VALUE, "entry 1"),
    "csc": ("npz", VALUE, "entry 0"),
    "coo": ("npz", VALUE, "entry 1"),
    "npy": ("npy", 'weight = load("w.npy")', "[1]"),
}


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_finite(tmp_path, kind, wrong):
    suffix, attributes, place = KINDS[kind]
    table = kind in ("csv", "tsv", "parquet", "npz")
    edges = f'load("f.{suffix}")' if table else f'load("f.{suffix}", rows = source)'
    saved_as(kind, tmp_path, 2.0)
    found = connection(edges, 2, 2, attributes=attributes, folder=tmp_path).weight.start.value
    assert sorted(found) == [0.5, 2]
    saved_as(kind, tmp_path, wrong)
    found = refusal(edges, 2, 2, attributes=attributes, folder=tmp_path)
    assert found.code.code == ("E606" if kind == "npy" else "E610")
    assert place in found.message


# --------------------------------------------------------------------------------------------- Matrix Market


@st.composite
def market(draw):
    """A matrix and the text of a .mtx file of it: of any kind, layout and symmetry that is read."""
    symmetry = draw(st.sampled_from(["general", "symmetric", "skew-symmetric"]))
    kind = draw(st.sampled_from(["real", "integer"] + ["pattern"] * (symmetry != "skew-symmetric")))
    rows = draw(st.integers(1, 6))
    columns = rows if symmetry != "general" else draw(st.integers(1, 6))
    cells = [(i, j) for i in range(rows) for j in range(columns)]
    if symmetry != "general":
        cells = [(i, j) for i, j in cells if i > j or (i == j and symmetry == "symmetric")]
    cells = draw(st.lists(st.sampled_from(cells), unique=True)) if cells else []
    numbers = st.integers(-9, 9) if kind == "integer" else st.floats(-9, 9, width=32)
    blank = st.sampled_from([" ", "  ", "\t"])
    lines = [
        f"%%MatrixMarket matrix coordinate {kind} {symmetry}",
        *draw(st.lists(st.sampled_from(["%", "% x"]))),
    ]
    lines.append(f"{rows} {columns} {len(cells)}")
    for i, j in cells:
        value = "" if kind == "pattern" else str(draw(numbers))
        lines += [draw(blank).join([str(i + 1), str(j + 1), *([value] if value else [])])]
        lines += [""] * draw(st.integers(0, 1))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + "\n"


def dense(entries):
    found = np.zeros(entries.shape)
    np.add.at(found, (entries.row, entries.column), 1.0 if entries.value is None else entries.value)
    return found


@given(market())
def test_matrix_market_reads_as_scipy_does(text):
    expected = scipy_io.mmread(io.BytesIO(text.encode()))
    np.testing.assert_array_equal(dense(matrix_market(text.encode())), expected.toarray())


def header(kind="real", symmetry="general", layout="coordinate"):
    return f"%%MatrixMarket matrix {layout} {kind} {symmetry}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (header(symmetry="symmetric") + "8 4 1\n1 1 1\n", "square"),
        (header(symmetry="skew-symmetric") + "2 2 2\n2 1 1\n2 2 1\n", "line 4 is on or above the diagonal"),
        (header(symmetry="skew-symmetric") + "2 2 1\n1 1 0\n", "line 3 is on or above the diagonal"),
        (header("pattern", "skew-symmetric") + "2 2 1\n2 1\n", "no signs"),
        (header(symmetry="symmetric") + "2 2 1\n1 2 1\n", "line 3 is above the diagonal"),
        (header() + "2 2 2\n1 1 1 2\n2 1\n", "line 3 has 4 numbers instead of 3"),
        (header() + "2 2 2\n1 1 1 2 1 1\n", "line 3 has 6 numbers"),
        (header() + "2 2 1\n1 1 1\n2 2 2\n", "promises entries on 1 line, and there are 2"),
        (header() + "2 2 3\n1 1 1\n2 2 2\n", "promises entries on 3 lines, and there are 2"),
        (header() + "2 2 1\n3 1 1\n", "line 3 is in row 3, counted from 1, of 2"),
        (header() + "2 2 1\n1 0 1\n", "line 3 is in column 0"),
        (header() + "2 2 1\n-1 1 1\n", "row -1"),
        (header() + "2 2 1\n1.0 1 1\n", "line 3 has a number that is not whole"),
        (header() + "2 2 1\n1e0 1 1\n", "line 3 has a number that is not whole"),
        (header() + "2 2 1\n9999999999999999999 1 1\n", "not whole"),
        (header("integer") + "2 2 1\n1 1 0.5\n", "line 3 has a number that is not whole"),
        (header() + "2 2 1\n1 1 0.5x\n", "line 3 has something that is no number"),
        (header() + "2 2 1\n1 1 1-1\n", "no number"),
        (header() + "2 2 1\n1 1 0,5\n", "no number"),
        (header() + "2 2 1\n1 1 1\n% a comment\n", "line 4 has something that is no number"),
        (header() + "2 2 1\n" + "\0" * 1000, "line 3 has something that is no number"),
        (header(layout="array") + "2 2\n1\n2 3\n4\n", "line 4 has 2 numbers instead of 1"),
        (header(layout="array") + "2 2\n1\n2\n3\n", "promises entries on 4 lines"),
        (header("complex") + "2 2 1\n1 1 1 1\n", "`complex`"),
        (header(symmetry="hermitian") + "2 2 1\n1 1 1\n", "`hermitian`"),
        (header("pattern", layout="array") + "2 2\n1\n1\n1\n1\n", "only `general` ones with numbers"),
        (header(symmetry="symmetric", layout="array") + "1 1\n1\n", "only `general` ones with numbers"),
        (header(layout="arrays") + "2 2 1\n1 1 1\n", "`arrays`"),
        (header() + "2 2\n1 1 1\n", "not 3 whole numbers"),
        (header() + "2 -2 1\n1 1 1\n", "not 3 whole numbers"),
        (header(), "not 3 whole numbers"),
    ],
)
def test_matrix_market_that_is_none(text, says):
    with pytest.raises(BadMatrix, match=says):
        matrix_market(text.encode())


@pytest.mark.parametrize("byte", [0x00, 0x7F, 0x80, 0xFE, 0xFF])
def test_bytes_of_no_number_are_named_in_a_matrix(byte):
    with pytest.raises(BadMatrix, match="line 3 has something that is no number"):
        matrix_market((header() + "2 2 1\n1 1 ").encode() + bytes([byte]) + b"\n")


# ------------------------------------------------------------------------------------------ arrays in .npz


def csr(**changed):
    """What `save_npz` writes of a 3 x 2 matrix, changed in something."""
    whole = {"format": b"csr", "shape": [3, 2], "indptr": [0, 1, 2, 2], "indices": [1, 0], "data": [1.0, 2.0]}
    return whole | changed


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        (csr(), None),
        (csr(indptr=[0, 2, 2, 2]), None),  # unsorted
        (csr(indptr=[0, 2, 2, 2], indices=[1, 1]), "E311"),
        (csr(shape=[-1, 8], indptr=[]), "E606"),
        (csr(shape=[-1, 8]), "E606"),
        (csr(shape=[3, -2]), "E606"),
        (csr(indptr=[0, 2, 1, 2]), "E606"),
        (csr(indptr=[0, 1, 2]), "E606"),
        (csr(indptr=[1, 1, 2, 2]), "E606"),
        (csr(indptr=np.array([0, 1, 2, 2.0])), "E606"),
        (csr(indptr=np.array([0, 2**64 - 1, 2, 2], np.uint64)), "E606"),
        (csr(indices=np.array([1.0, 0.0])), "E606"),
        (csr(indices=[1, -1]), "E606"),
        (csr(indices=[2, 0]), "E606"),
        (csr(data=[1.0]), "E606"),
        (csr(data=[1j, 1j]), "E606"),
        (csr(shape=[3, 2, 1]), "E606"),
        (csr(format=b"\xff"), "E606"),
        ({"format": "coo", "shape": [3, 2], "row": [0, 0], "col": [1, 1], "data": [1, 2]}, "E311"),
        ({"format": "coo", "shape": [3, 2], "row": [0], "col": [1, 1], "data": [1, 2]}, "E606"),
    ],
)
def test_sparse_archives(tmp_path, arrays, code):
    np.savez(tmp_path / "m.npz", **arrays)
    edges = 'load("m.npz", rows = source)'
    if code is None:
        assert pairs(edges, 3, 2, folder=tmp_path) >= {(0, 1)}
        return
    found = refusal(edges, 3, 2, folder=tmp_path)
    assert found.code.code == code
    assert "duplicate = merge" not in said(found)  # which matrices do not take


@pytest.mark.parametrize("absent", ["indptr", "indices", "data"])
def test_an_array_that_a_sparse_archive_lacks_is_named(tmp_path, absent):
    arrays = csr()
    del arrays[absent]
    np.savez(tmp_path / "m.npz", **arrays)
    found = refusal('load("m.npz", rows = source)', 3, 2, folder=tmp_path)
    assert found.code.code == "E606"
    assert f"the array `{absent}` is missing" in said(found)


@pytest.mark.parametrize("letter", [0xD800, 0xDFFF, 0x110000, 0xFFFFFFFF])
def test_letters_that_are_none(tmp_path, letter):
    texts = np.array([letter, ord("a")], np.uint32).view("U1")
    (tmp_path / "g.txt").write_text("a\nb\n")
    np.savez(tmp_path / "e.npz", source=texts, target=["a", "b"])
    assert only(NAMED.format(edges='load("e.npz")'), tmp_path).code.code == "E608"
    np.savez(tmp_path / "e.npz", **{"source": [0, 1], "source.names": texts, "target": ["a", "b"]})
    assert only(NAMED.format(edges='load("e.npz")'), tmp_path).code.code == "E608"


@pytest.mark.parametrize("kind", [">i4", "<u8", ">f8", "f2", "longdouble"])
def test_numbers_of_any_make(tmp_path, kind):
    whole = "<i8" if "f" in kind or "d" in kind else kind
    np.savez(tmp_path / "e.npz", source=np.array([0, 1], whole), target=[1, 0], w=np.array([1, 2], kind))
    found = connection('load("e.npz")', 2, 2, attributes=COLUMN, folder=tmp_path)
    np.testing.assert_array_equal(found.weight.start.value, [2, 1])


# ------------------------------------------------------------------------------------------------- Parquet


@pytest.mark.parametrize(
    ("kind", "values", "reads"),
    [
        (pl.Decimal(10, 2), ["1.5", "2.5"], True),
        (pl.Categorical, ["1.5", "2.5"], True),
        (pl.Enum(["1.5", "2.5"]), ["1.5", "2.5"], True),
        (pl.Int128, [1, 2], True),
        (pl.Duration, [1, 2], False),
        (pl.Date, [1, 2], False),
        (pl.Datetime, [1, 2], False),
        (pl.Time, [1, 2], False),
        (pl.Boolean, [True, False], False),
        (pl.Binary, [b"1", b"2"], False),
        (pl.List(pl.Float64), [[1.0], [2.0]], False),
        (pl.Struct({"a": pl.Float64}), [{"a": 1.0}, {"a": 2.0}], False),
        (pl.Null, [None, None], False),
        (pl.Float64, [1.0, None], False),
    ],
)
def test_types_of_weights(tmp_path, kind, values, reads):
    column = pl.Series("w", values).cast(kind) if reads else pl.Series("w", values, dtype=kind)
    pl.DataFrame({"source": [0, 1], "target": [1, 0]}).with_columns(column).write_parquet(
        tmp_path / "e.parquet"
    )
    if reads:
        connection('load("e.parquet")', 2, 2, attributes=COLUMN, folder=tmp_path)
    else:
        found = refusal('load("e.parquet")', 2, 2, attributes=COLUMN, folder=tmp_path)
        assert found.code.code in ("E608", "E610")
    assert pairs('load("e.parquet")', 2, 2, folder=tmp_path) == {(0, 1), (1, 0)}


@pytest.mark.parametrize("how", ["uncompressed", "snappy", "gzip", "zstd", "lz4"])
def test_parquet_says_what_it_unpacks_to(tmp_path, how):
    frame = pl.DataFrame({"a": np.zeros(100_000), "b": ["x" * 1000] * 100_000, "c": np.arange(100_000)})
    frame.write_parquet(tmp_path / "f.parquet", compression=how, row_group_size=30_000)
    size, values = parquet_size((tmp_path / "f.parquet").read_bytes())
    assert 800_000 < size < 4_000_000
    # The dictionaries have values of their own.
    assert 300_000 <= values < 301_000


def test_the_values_of_a_dictionary_are_counted(tmp_path):
    """200 texts, each of which stands in the file once, and 20,000 numbers of them."""
    frame = pl.DataFrame({"b": [f"text {row % 200}" for row in range(20_000)]})
    frame.write_parquet(tmp_path / "f.parquet")
    _, values = parquet_size((tmp_path / "f.parquet").read_bytes())
    assert values == 20_200


def bomb(path):
    """A small file that unpacks to far more than a megabyte."""
    zeros, text = np.zeros(1_000_000), pl.DataFrame({"source": ["0" * 10_000_000], "target": ["0"]})
    match path.name:
        case "m.npz":
            np.savez_compressed(path, a=zeros.reshape(1000, 1000))
        case "p.npz":
            np.savez_compressed(path, source=zeros, target=zeros)
        case "gzip.parquet" | "zstd.parquet":
            text.write_parquet(path, compression=path.stem, statistics=False)
        case _:
            pl.DataFrame({"source": zeros[:200_000].astype(np.int8)}).write_parquet(path)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("m.npz", "E630"),
        ("p.npz", "E630"),
        ("gzip.parquet", "E630"),
        ("zstd.parquet", "E630"),
        ("rows.parquet", "E631"),
    ],
)
def test_bombs(tmp_path, monkeypatch, name, code):
    bomb(tmp_path / name)
    monkeypatch.setattr(limits, "UNPACKED_LIMIT", 1_000_000)
    monkeypatch.setattr(limits, "UNPACKED_RATIO", 0)
    monkeypatch.setattr(limits, "VALUE_LIMIT", 100_000)
    tracemalloc.start()
    found = refusal(f'load("{name}"{", rows = source" if name == "m.npz" else ""})', 3, 3, folder=tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.code.code == code
    assert "are the most" in found.message
    assert peak < 1_000_000


def test_an_archive_that_lies_about_its_size(tmp_path):
    """Nothing is unpacked beyond what stands in the directory."""
    array = io.BytesIO()
    np.save(array, np.zeros((1000, 1000)))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", array.getvalue())
    size = len(array.getvalue()).to_bytes(4, "little")
    (tmp_path / "m.npz").write_bytes(packed.getvalue().replace(size, (300).to_bytes(4, "little")))
    assert refusal('load("m.npz", rows = source)', 1000, 1000, folder=tmp_path).code.code == "E606"


def test_how_much_may_be_unpacked():
    assert limits.unpacked_limit(4 << 20) == 1 << 30
    assert limits.unpacked_limit(20 << 20) == 2000 << 20
    assert limits.unpacked_limit(1 << 30) == 4 << 30


def test_too_many_columns_and_values(tmp_path, monkeypatch):
    (tmp_path / "e.csv").write_text(",".join(map(str, range(100_001))) + "\n" + ",".join(["0"] * 100_001))
    assert refusal('load("e.csv")', 3, 3, folder=tmp_path).code.code == "E631"
    monkeypatch.setattr(limits, "VALUE_LIMIT", 1000)
    (tmp_path / "e.csv").write_text("source,target\n" + "0,1\n" * 501)
    found = refusal('load("e.csv")', 3, 3, folder=tmp_path)
    assert (found.code.code, found.message) == ("E631", "e.csv has 1,004 values, and 1,000 are the most")


# ----------------------------------------------------------------------------------------- names and memory


def test_one_long_name_among_many_takes_its_own_length(tmp_path):
    """Not as much for each of the others."""
    names = [f"g{n}" for n in range(1000)] + ["n" * 10_000_000]
    (tmp_path / "g.txt").write_text("\n".join(names))
    tracemalloc.start()
    found = plan(lower(model(NAMED.format(edges="one_to_one"), tmp_path)), 1)
    stored = {array.name: array.array for array in found.stored}
    assert sum(array.nbytes for array in stored.values()) < 10_100_000
    assert names_of(stored, "g").tolist() == names
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000_000


@pytest.mark.parametrize("file", ["n.parquet", "n.csv", "g.txt"])
def test_names_with_a_nul(tmp_path, file):
    (tmp_path / "g.txt").write_text("A\nA\0\n")
    (tmp_path / "n.csv").write_text("id,x\nA,1\nA\0,2\n")
    pl.DataFrame({"id": ["A", "A\0"]}).write_parquet(tmp_path / "n.parquet")
    column = "" if file == "g.txt" else ', column = "id"'
    text = f'model m\naxis g = names("{file}"{column})\ninput x[g]\nlayer y[3]\nconnect x -> y : all\n'
    found = only(text, tmp_path)
    assert found.code.code in ("E608", "E615")
    assert "NUL" in found.message


# ------------------------------------------------------------------------------------ special files, and size


@pytest.mark.parametrize(
    "to", ["/dev/zero", "/dev/null", "/dev/tty", "/proc/kmsg", "/proc/self/mem", "pipe", "."]
)
@pytest.mark.parametrize("name", ["e.csv", "e.npy", "e.mtx", "e.parquet"])
def test_special_files(tmp_path, name, to):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / name).symlink_to(to)
    rows = ", rows = source" if name in ("e.npy", "e.mtx") else ""
    signal.alarm(60)  # what waits for a pipe would wait for ever
    found = refusal(f'load("{name}"{rows})', 3, 3, folder=tmp_path)
    signal.alarm(0)
    assert found.code.code in ("E601", "E602", "E604", "E606", "E608")


MANY = 300_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.mtx", lambda n: header() + "% x\n" * n + "3 3 1\n1 1 1\n"),
        ("e.mtx", lambda n: header() + "\n" * n + "3 3 1\n1 1 1\n" + "\n" * n),
        ("e.mtx", lambda n: header() + "3 3 1\n" + "\0" * n * 10),
        ("e.mtx", lambda n: "\0" * n * 10),
        ("e.csv", lambda n: "source,target\n" + "\n" * n + "0,1\n"),
        ("e.csv", lambda n: "source,target\n0,1\n" + "\n" * n),
        ("e.csv", lambda n: "source,target\n0,1\n" + "\r\n" * n),
        ("e.csv", lambda n: "source,target\n0,1\n" + "\n\r\n" * n),
        ("e.csv", lambda n: "source,target\n" + '"' * n * 10),
        ("e.csv", lambda n: "source,target\n" + "1" * n * 10 + ",2\n"),
        ("e.csv", lambda n: "\0" * n * 10),
        ("e.csv", lambda n: "source,target" + "," * (n // 15) + "\n0,1" + "," * (n // 15)),
        ("e.tsv", lambda n: "source\ttarget\n" + "\t\n" * n),
        ("e.gmt", lambda n: "\n" * n + "0\tx\t1\n"),
        ("e.gmt", lambda n: "0\tx\t1" + "\t" * n * 10),
        ("e.gmt", lambda n: "\0" * n * 10),
    ],
)
def test_odd_files_take_steps_by_their_size(tmp_path, name, content):
    """At last a file of one to three megabytes; what is quadratic would take minutes."""
    rows = ", rows = source" if name == "e.mtx" else ""

    def steps(n):
        (tmp_path / name).write_text(content(n))
        return lines_run(lambda: resolved(spec(f'load("{name}"{rows})', 3, 3), tmp_path))[0]

    steps(30)  # imports and caches
    assert_in_proportion([steps(n) for n in (1500, 3000, 4500)])
    (tmp_path / name).write_text(content(MANY))
    resolved(spec(f'load("{name}"{rows})', 3, 3), tmp_path)


# -------------------------------------------------------------------------------------------------- skipping


@pytest.fixture
def genes(tmp_path):
    (tmp_path / "g.txt").write_text("TP53\nBRCA1\nEGFR\n")
    return tmp_path


def test_what_is_skipped_is_said(genes):
    rows = [
        "TP53,EGFR",
        "TP35,EGFR",
        "MYC,BRCA1",
        " BRCA1 ,EGFR",
        "EGFR,XX",
        *(f"g{n},EGFR" for n in range(9)),
    ]
    (genes / "e.csv").write_text("source,target\n" + "\n".join(rows))
    _, diagnostics = resolved(NAMED.format(edges='load("e.csv", unknown = skip)'), genes)
    first, second = (d for d in diagnostics if d.code.code == "W330")
    assert first.message == "`unknown = skip` skips 12 of 14 rows of e.csv, for names that are not on `g`"
    assert first.help == (
        'not on `g`: "TP35" (there is "TP53"), "MYC", " BRCA1 " (there is "BRCA1"), "g0", "g1" and 7 more',
    )
    assert second.help == ('not on `g`: "XX"',)


def test_nothing_is_said_where_nothing_is_skipped(genes):
    (genes / "e.csv").write_text("source,target\nTP53,EGFR\n")
    _, diagnostics = resolved(NAMED.format(edges='load("e.csv", unknown = skip)'), genes)
    assert not [d for d in diagnostics if d.code.code in ("W330", "W331")]


@pytest.mark.parametrize("rows", ["BRCA1 ,TP53\nTP53 ,TP53", "brca1,TP53", "TP53,x\nx,TP53"])
def test_where_all_is_skipped_nothing_is_compiled(genes, rows):
    (genes / "e.csv").write_text(f"source,target\n{rows}\n")
    found = only(NAMED.format(edges='load("e.csv", unknown = skip)'), genes)
    assert found.code.code == "E632"
    assert "not on `g`" in said(found)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("TP53,EGFR\nBRCA1 ,EGFR", 'blanks count: this is "BRCA1 ", and the axis has "BRCA1"'),
        ("TP53,EGFR\nbrca1,EGFR", "did you mean `BRCA1`?"),
        ("TP53,EGFR\nother,EGFR", "1 of 2 rows has such a name; `unknown = skip` drops them"),
        ("one,EGFR\nother,EGFR", "no name in column `source` is on `g`: is it the right column?"),
    ],
)
def test_help_with_names_does_not_lead_into_skipping(genes, rows, says):
    (genes / "e.csv").write_text(f"source,target\n{rows}\n")
    found = only(NAMED.format(edges='load("e.csv")'), genes)
    assert (found.code.code, says in said(found)) == ("E331", True)
    assert ("unknown = skip" in said(found)) == ("unknown = skip" in says)


def test_letters_that_look_alike(tmp_path):
    (tmp_path / "g.txt").write_text("caf\u00e9\nx\n", encoding="utf-8")
    (tmp_path / "e.csv").write_text("source,target\ncafe\u0301,x\n", encoding="utf-8")
    found = only(NAMED.format(edges='load("e.csv")'), tmp_path)
    assert "NFC" in said(found)


@pytest.mark.parametrize("edges", ["{ i -> j : i + j > 9 }", 'load("e.csv")', 'load("m.npy", rows = source)'])
def test_a_connection_without_edges(tmp_path, edges):
    (tmp_path / "e.csv").write_text("source,target\n")
    np.save(tmp_path / "m.npy", np.zeros((3, 3)))
    _, diagnostics = resolved(spec(edges, 3, 3), tmp_path)
    assert "W331" in {d.code.code for d in diagnostics}


# ---------------------------------------------------------------------------------------- tables as found

PLAIN = "source,target,w\n0,1,0.5\n2,0,1\n"
READ = {(0, 1), (2, 0)}


@pytest.mark.parametrize(
    ("name", "content", "arguments"),
    [
        ("e.csv", PLAIN.encode("utf-8-sig"), ""),
        ("e.csv", PLAIN.replace("\n", "\r\n"), ""),
        ("e.csv", PLAIN.replace("\n", "\r"), ""),
        ("E.CSV", PLAIN, ""),
        ("e.csv", ",source,target\n0,0,1\n1,2,0\n", ""),  # pandas' index
        ("e.csv", "source,target,\n0,1,\n2,0,\n", ""),  # commas at all ends
        ("e.csv", '"source","target"\n"0","1"\n"2","0"\n', ""),
        ("e.csv", "source,target,note,note\n0,1,a,b\n2,0,a,b\n", ""),  # one name twice, and not used
        ("e.csv", "source, target\n0, 1\n2, 0\n", ""),
        ("e.csv", "0,1\n2,0\n", ", header = off"),
        ("e.csv", "\ufeff0,1\r\n2,0\r\n", ", header = off"),
        ("e.tsv", "0\t1\t0.5\n\n2\t0\t1", ", header = off"),
        ("e.csv", "0.5,0,1\n1,2,0\n", ', header = off, source = "1", target = "2"'),
        ("e.csv", '"0","1"\n2,"0"\n', ", header = off"),
        ("e.csv", "0,1\r2,0\r", ", header = off"),
    ],
)
def test_tables_as_programs_write_them(tmp_path, name, content, arguments):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert pairs(f'load("{name}"{arguments})', 3, 2, folder=tmp_path) == READ


def test_without_a_header_columns_have_numbers(tmp_path):
    (tmp_path / "e.tsv").write_text("0\t1\t0.5\n2\t0\t1\n2\t1\tx\n")
    edges = 'load("e.tsv", header = off{more})'
    found = connection(
        edges.format(more=', where = column("2") != "x"'),
        3,
        2,
        attributes='weight = column("2")',
        folder=tmp_path,
    )
    np.testing.assert_array_equal(found.weight.start.value, [1, 0.5])
    wrong = refusal(edges.format(more=""), 3, 2, attributes='weight = column("2")', folder=tmp_path)
    assert (wrong.code.code, "line 3" in wrong.message) == ("E610", True)
    (tmp_path / "g.csv").write_text("1,2,0\n")
    assert pairs('load("g.csv", header = off)', (2, 3), 2, folder=tmp_path) == {(5, 0)}


def test_names_without_a_header(tmp_path):
    (tmp_path / "n.csv").write_text("TP53,1\nEGFR,2\n")
    text = 'model m\naxis g = names("n.csv", header = off, column = "0")\ninput x[g]\nlayer y[3]\n'
    found = model(text + "connect x -> y : all\n", tmp_path)
    assert found.axes["x"][0].names == ("TP53", "EGFR")


@pytest.mark.parametrize(
    ("name", "content", "attributes", "says"),
    [
        ("e.csv", PLAIN.replace(",", ";"), "", "parted by `;`"),
        ("e.csv", "source;target;w\n0;1;0,5\n", "", "parted by `;`"),
        ("e.csv", PLAIN.replace(",", "\t"), "", "parted by tabs"),
        ("e.tsv", PLAIN, "", "parted by commas"),
        ("e.csv", PLAIN.replace(",", " "), "", "parted by blanks"),
        ("e.csv", PLAIN.replace(",", "|"), "", "parted by `|`"),
        ("e.csv", 'source,target,w\n0,1,"0,5"\n', COLUMN, "a point: `0.5`"),
        ("e.csv", "source,target\n0.0,1.0\n", "", "whole: `0`; pandas"),
        ("e.csv", "source,target\n0,\n", "", "the value is empty"),
        ("e.csv", "source,target\n1,1\n2,2\n3,2\n", "", "seems to count from 1"),
        ("e.csv", "0,1\n2,0\n", "", "`header = off`"),
        ("e.csv", "Source,Target\n0,1\n", "", "did you mean `Source`?"),
        ("e.csv", "source,target\n0,1,\n", "", "commas at the end"),
        ("e.csv", "source,target,name\n0,1,a, b\n", "", "stands in quotes"),
        ("e.csv", "# made by hand\nsource,target\n0,1\n", "", "no comments"),
        ("e.csv", "source,source,target\n0,0,1\n", "", "each by a name of its own"),
        ("e.csv", "Gr\u00f6\u00dfe,source,target\n1,0,1\n".encode("latin-1"), "", "the letter is `\u00f6`"),
        ("e.csv", PLAIN.encode("utf-16"), "", "save it as UTF-8"),
        ("e.csv", gzip.compress(PLAIN.encode(), mtime=0), "", "gunzip"),
        ("e.csv", b"PK\x03\x04 and so on", "", "`CSV UTF-8` in Excel"),
        ("e.csv.gz", gzip.compress(PLAIN.encode(), mtime=0), "", "unpack it first"),
        ("e.xlsx", b"PK\x03\x04", "", "save the sheet"),
        ("e.txt", PLAIN, "", "`.tsv` file, with tabs"),
        ("data\\\\e.csv", None, "", "parted by `/`"),
        ("E.csv", None, "", "did you mean `e.csv`?"),
    ],
)
def test_mistakes_with_tables_end_in_the_help(tmp_path, name, content, attributes, says):
    (tmp_path / "e.csv").write_text(PLAIN)
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = refusal(f'load("{name}")', 3, 3, attributes=attributes, folder=tmp_path)
    assert says in " ".join(found.help)


@pytest.mark.parametrize(
    ("shape", "edges", "says"),
    [
        ((9,), "one_to_one", "order of `matrix[mask]`"),
        ((2, 3), "all - { 0 -> 0 }", "`weights[mask]`"),
        ((3, 2), "all - { 0 -> 0 }", "`weights.T[mask]`"),
        ((3, 2), "all", "weights.T"),
    ],
)
def test_weights_of_another_shape(tmp_path, shape, edges, says):
    np.save(tmp_path / "w.npy", np.ones(shape))
    sides = (3, 3) if edges == "one_to_one" else (3, 2)
    found = refusal(edges, *sides, attributes='weight = load("w.npy")', folder=tmp_path)
    assert (found.code.code, says in said(found)) == ("E409", True)


def test_a_matrix_of_weights_as_a_mask(tmp_path):
    """The help, done to the letter."""
    matrix = np.array([[0, 0.5], [0, 0], [-1, 2]])
    np.save(tmp_path / "m.npy", matrix)
    found = refusal('load("m.npy", rows = source)', 3, 2, folder=tmp_path)
    assert found.code.code == "E607"
    assert 'scipy.sparse.save_npz("m_weights.npz", scipy.sparse.csr_array(matrix))' in said(found)
    again = 'load("m_weights.npz", rows = source)'
    assert f"{again} with {VALUE}" in said(found)
    sparse.save_npz(tmp_path / "m_weights.npz", sparse.csr_array(matrix))
    weight = connection(again, 3, 2, attributes=VALUE, folder=tmp_path)
    source, target = weight.edges.edges()
    np.testing.assert_array_equal(weight.weight.start.value, matrix[source, target])


# ---------------------------------------------------------------------------------------------------- biases


def bias_of(operation, folder, shape="g"):
    text = 'model m\naxis g = names("g.txt")\ninput x[3]\nconnect x -> y : all\n'
    text += f"layer y[{shape}] : {operation}\n"
    found, diagnostics = resolved(text, folder)
    errors = [d for d in diagnostics if d.severity == "error"]
    return errors[0] if errors else found.layers[0].operations[0].start.value.tolist()


@pytest.mark.parametrize(
    ("operation", "shape", "expected"),
    [
        ('bias(start = load("v.npy"))', "g", [1, 2, 3]),
        ('bias(start = load("v.npz"))', "3", [1, 2, 3]),
        ('bias(start = load("t.csv"))', "g", [2, 3, 1]),
        ('bias(start = load("t.csv", unit = "unit", value = "other"))', "g", [5, 6, 4]),
        ('bias(start = load("t.csv"), only = load("only.npy"))', "g", [2, 1]),
        ('bias(start = load("t.csv"), per = 0)', "g, 4", [2, 3, 1]),
        ('bias(start = load("grid.npy"))', "g, 2", [0, 1, 2, 3, 4, 5]),
        ('bias(start = load("grid.csv"))', "2, g", [1, 2, 3, 4, 5, 6]),
        ('bias(start = load("more.csv", unknown = skip))', "g", [2, 3, 1]),
        ('bias(start = load("more.csv", where = column("unit") != "other"))', "g", [2, 3, 1]),
        ('bias(start = load("bare.tsv", header = off))', "3", [1, 2, 3]),
        ('bias(start = load("t.parquet"))', "g", [2, 3, 1]),
    ],
)
def test_biases_from_files(genes, operation, shape, expected):
    np.save(genes / "v.npy", [1.0, 2, 3])
    np.savez(genes / "v.npz", v=[1, 2, 3])
    np.save(genes / "only.npy", [1, 0, 1])
    np.save(genes / "grid.npy", np.arange(6).reshape(3, 2))
    table = "unit,value,other\nEGFR,1,4\nTP53,2,5\nBRCA1,3,6\n"
    (genes / "t.csv").write_text(table)
    pl.read_csv(io.StringIO(table)).write_parquet(genes / "t.parquet")
    (genes / "more.csv").write_text(table + "other,9,9\n")
    rows = [f"{i},{name},{1 + 3 * i + j}" for i in (1, 0) for j, name in enumerate(["TP53", "BRCA1", "EGFR"])]
    (genes / "grid.csv").write_text("unit_0,unit_1,value\n" + "\n".join(rows))
    (genes / "bare.tsv").write_text("0\t1\n2\t3\n1\t2\n")
    assert bias_of(operation, genes, shape) == expected


@pytest.mark.parametrize(
    ("table", "code", "says"),
    [
        ("unit,value\nEGFR,1\nTP53,2\n", "E432", 'none for "BRCA1"'),
        (
            "unit,value\nEGFR,1\nTP53,2\nEGFR,1\nBRCA1,1\n",
            "E432",
            '"EGFR" stands on line 2 and again on line 4',
        ),
        ("unit,value\nEGFR,1\nTP53,2\nBRCA1,nan\n", "E610", "line 4"),
        ("unit,value\nEGFR,1\nTP53,2\nBRCA2,1\n", "E331", "did you mean `BRCA1`?"),
        ("unit,value\nEGFR,1\nTP53,2\nBRCA1,1e99\n", "E419", "a number of this file"),
        ("gene,value\nEGFR,1\nTP53,2\nBRCA1,1\n", "E609", "`unit`"),
    ],
)
def test_biases_that_do_not_fit(genes, table, code, says):
    (genes / "t.csv").write_text(table)
    found = bias_of('bias(start = load("t.csv"))', genes)
    assert (found.code.code, says in said(found)) == (code, True)


@pytest.mark.parametrize(
    ("array", "code"),
    [([1, 2], "E431"), ([1, np.nan, 2], "E606"), (["a", "b", "c"], "E606"), ([1, 2, 1e99], "E419")],
)
def test_vectors_that_do_not_fit(genes, array, code):
    np.save(genes / "v.npy", array)
    assert bias_of('bias(start = load("v.npy"))', genes).code.code == code
