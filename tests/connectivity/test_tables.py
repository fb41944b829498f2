"""Tables of every kind: two readers of csv agree, names become units, rows keep their places."""

from __future__ import annotations

import io
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy import io as scipy_io
from scipy import sparse

from nnspec.compiler.data import columns, csv_text, tables
from nnspec.dsl.diagnostics import Report
from nnspec.dsl.source import Source, Span

from .specs import connection, model, pairs, refusal, resolved

PAIRS = {(0, 1), (2, 0), (2, 1)}
NAMED = 'axis gene = names("genes.txt")\naxis path = names("paths.csv", column = "id")\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "genes.txt").write_text("TP53\nBRCA1\n007\n")
    (tmp_path / "paths.csv").write_text('id,kind,size\nRepair,dna,3\n"Cell, cycle",dna,5\nGrowth,sig,2\n')
    return tmp_path


def named(edges: str, *, attributes: str = "", before: str = "", sides: tuple[str, str] = ("gene", "path")):
    """A spec whose connection `wire` leads from genes to paths."""
    attributes = f" with {attributes}" if attributes else ""
    return (
        f"model m\n{NAMED}{before}\ninput left[{sides[0]}]\nlayer right[{sides[1]}]\n"
        f"connect left -> right as wire : {edges}{attributes}\n"
    )


def edges_of(text: str, folder):
    source, target = model(text, folder).connections[0].edges.edges()
    return set(zip(source.tolist(), target.tolist(), strict=True))


def error_of(text: str, folder):
    found, diagnostics = resolved(text, folder)
    errors = [d for d in diagnostics if d.severity == "error"]
    assert found is None
    assert len(errors) == 1, errors
    return errors[0]


# ----------------------------------------------------------------- the quick reader and the csv module agree


def careful(content: bytes, delimiter: str):
    """What `csv_rows` reads, or None where it refuses."""
    try:
        return [row for _, row in csv_text.csv_rows(content, delimiter)]
    except columns.Unusable:
        return None


def texts(values: columns.Values) -> list[str]:
    coded = values.coded()
    return [coded[row] for row in range(coded.height)]


def rows_of(read) -> list[list[str]]:
    return [*map(list, zip(*map(texts, read), strict=True))]


@given(
    st.lists(st.sampled_from([*'ab1é# ,,\n\n""\r\t', "\r\n", '"a"', '"a, b"', '"\n"', "longer than eight"])),
    st.sampled_from([",", "\t"]),
    st.booleans(),
)
@example(['"', "a", "\n", "b", '"', ",", '"', '"', "\n", "1", ",", "b"], ",", False)
@example(["1", ",", "\n", "1", "\n", ",", ",", "\n"], ",", True)
@example(["1", ","], ",", False)
@example(["a", ",", '"a"', "\r\n", '"a"', ",", "a"], ",", False)
def test_the_quick_reader_reads_as_csv_does(pieces, delimiter, marked):
    content = ("\ufeff" * marked + f"x{delimiter}y\n{''.join(pieces)}").encode()
    for has_header in (True, False):
        fast = csv_text.read_fast(content, delimiter, has_header=has_header)
        if fast is not None:
            header, read = fast
            names = ["x", "y"] if has_header else ["0", "1"]
            assert list(header) == names
            assert rows_of(read) == careful(content, delimiter)[has_header:]


@given(st.binary(max_size=60))
def test_bytes_are_read_or_refused_alike(noise):
    content = b"x,y\n1,2\n" + noise.replace(b"\0", b"")
    fast = csv_text.read_fast(content, ",")
    if fast is not None:
        assert rows_of(fast[1]) == careful(content, ",")[1:]


@pytest.mark.parametrize("turns", [0, 1, columns._TURNS])
@given(pieces=st.lists(st.text("ab\xe9\U0001f600", max_size=20), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_texts_have_equal_codes(turns, pieces, monkeypatch):
    """Whether they find a slot of their own, or are sorted because a file is made to resist."""
    monkeypatch.setattr(columns, "_TURNS", turns)
    encoded = [piece.encode() for piece in pieces]
    ends = np.cumsum([*map(len, encoded)])
    starts = ends - [*map(len, encoded)]
    found = columns.coded_pieces(b"".join(encoded) + columns.PADDING, starts, ends, None)
    assert texts(found) == pieces
    assert len(set(found.words.texts)) == len(found.words.texts) == len(set(pieces))


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0")),
        min_size=1,
        unique=True,
    )
)
def test_texts_come_back(written):
    """Whatever a column of texts holds, letter by letter."""
    frame = pl.DataFrame({"x": written, "y": ["1"] * len(written)})
    for name, content in (("f.csv", frame.write_csv().encode()), ("f.parquet", parquet(frame))):
        span = Span(0, 0)
        table = tables.read_table(name, lambda content=content: content, Report(Source("s", "")), span)
        assert texts(table.column("x").values) == written


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_come_back(numbers):
    written = columns.Coded.of([f"{'+' if n > 0 and n % 2 else ''}{n}" for n in numbers])
    table = tables.Table("f", ("x",), (written,), str, Report(Source("s", "")), Span(0, 0))
    assert table.column("x").integers().tolist() == numbers


def test_plain_files_take_the_fast_way():
    """Those that tools write: with quotes, without, with either line end."""
    plain = ("a,b\n1,2\n3,4\n", "a,b\r\n1,2\r\n", "a,b\n1,\n,2\n", "\ufeffa,b\n1,2\n\n")
    for content in (*plain, '"a","b"\n"1","x, y"\n', 'a,b\n"say ""x""",""\n1,"2\n3"\n'):
        assert csv_text.read_fast(content.encode(), ",") is not None, content


@pytest.mark.parametrize(
    "content",
    [
        "name\na\n\nb\n",  # of one column, a blank line is a row or none
        "a,b\n1\n2\n",  # as many values as two rows have, on lines of their own
        'a,b\n"x"y,2\n',  # a quote within a value
        'a,b\n1,"x"y\n',
    ],
)
def test_other_files_are_left_to_the_careful_reader(content):
    assert csv_text.read_fast(content.encode(), ",") is None


# ------------------------------------------------------------------------------------------- kinds of files


def parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def test_parquet(tmp_path):
    for kind in (pl.Int64, pl.Int8, pl.UInt64, pl.String, pl.Categorical):
        source = pl.Series([0, 2, 2]).cast(pl.String) if kind in (pl.String, pl.Categorical) else [0, 2, 2]
        frame = pl.DataFrame({"source": pl.Series(source).cast(kind), "target": [1, 0, 1], "w": [0.5, 1, 2]})
        (tmp_path / "e.parquet").write_bytes(parquet(frame))
        assert pairs('load("e.parquet")', 3, 2, folder=tmp_path) == PAIRS
    found = connection('load("e.parquet")', 3, 2, attributes='weight = column("w")', folder=tmp_path)
    np.testing.assert_array_equal(found.weight.start.value, [1, 0.5, 2])


def test_a_column_of_lists_beside_names_is_left_alone(tmp_path):
    """Names that stand on several rows have the columns with one value each; lists have none."""
    frame = pl.DataFrame({"id": ["a", "a", "b"], "size": [1, 1, 2], "parts": [[1], [1], [2, 3]]})
    frame.write_parquet(tmp_path / "n.parquet")
    text = (
        'model m\naxis n = names("n.parquet", column = "id", duplicate = merge)\ninput x[n]\nlayer y[n]\n'
        "connect x -> y : { i -> j : n.size(i) < n.size(j) }\n"
    )
    source, target = model(text, tmp_path).connections[0].edges.edges()
    assert (source.tolist(), target.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("columns", "code", "says"),
    [
        ({"source": [0, 5], "target": [0, 0]}, "E204", "row 2 of e.parquet"),
        ({"source": [0, None], "target": [0, 0]}, "E610", "row 2"),
        ({"source": [0.0, 1.0], "target": [0, 0]}, "E610", "row 1"),
        ({"source": [[0], [1]], "target": [0, 0]}, "E608", "List"),
        ({"source": [b"0", b"1"], "target": [0, 0]}, "E608", "Binary"),
        ({"from": [0], "target": [0]}, "E609", "`source`"),
    ],
)
def test_parquet_refused(tmp_path, columns, code, says):
    (tmp_path / "e.parquet").write_bytes(parquet(pl.DataFrame(columns)))
    found = refusal('load("e.parquet")', 3, 2, folder=tmp_path)
    assert found.code.code == code
    assert says in found.message + found.label


def test_parquet_without_polars(tmp_path, monkeypatch):
    (tmp_path / "e.parquet").write_bytes(parquet(pl.DataFrame({"source": [0], "target": [0]})))
    (tmp_path / "e.csv").write_text("source,target\n0,1\n2,0\n2,1\n")
    monkeypatch.setitem(sys.modules, "polars", None)  # importing it fails
    found = refusal('load("e.parquet")', 3, 2, folder=tmp_path)
    assert found.code.code == "E608"
    assert "pip install 'nnspec[tables]'" in found.help[0]
    assert pairs('load("e.csv")', 3, 2, folder=tmp_path) == PAIRS


@pytest.mark.parametrize(
    "content", ["source,target\n", "source,target", '"source","target"\r', "source,target\r\n\r\n"]
)
def test_a_header_alone_is_a_table_without_edges(tmp_path, content):
    (tmp_path / "e.csv").write_text(content, newline="")
    assert pairs('load("e.csv")', 3, 2, folder=tmp_path) == set()


@pytest.mark.parametrize(("before", "line"), [("", 1), ("source,target\n", 2), ("source,target\n0,1\n1,", 3)])
def test_the_first_byte_that_is_no_text_is_named(tmp_path, before, line):
    (tmp_path / "e.csv").write_bytes(before.encode() + b"\xe9\n0,\xe8\n")
    found = refusal('load("e.csv")', 3, 2, folder=tmp_path)
    assert f"line {line}, byte {len(before)} of the file" in found.message
    assert "`\xe9`" in found.help[0]


def test_damaged_parquet(tmp_path):
    sound = parquet(pl.DataFrame({"source": [0, 2], "target": [1, 0]}))
    for content in (b"", b"PAR1", sound[:-9], sound[: len(sound) // 2], b"source,target\n0,1\n"):
        (tmp_path / "e.parquet").write_bytes(content)
        assert refusal('load("e.parquet")', 3, 2, folder=tmp_path).code.code == "E608"


def test_gene_sets(folder):
    lines = ["Repair\tabout\tTP53\tBRCA1\t\t", "", "Growth\t\tBRCA1", "Cell, cycle\tnobody", ""]
    (folder / "p.gmt").write_text("\r\n".join(lines), newline="")
    assert edges_of(named('load("p.gmt")'), folder) == {(0, 0), (1, 0), (1, 2)}
    turned = named('load("p.gmt", source = "set", target = "member")', sides=("path", "gene"))
    assert edges_of(turned, folder) == {(0, 0), (0, 1), (2, 1)}
    chosen = named('load("p.gmt", where = column("description") == "about")')
    assert edges_of(chosen, folder) == {(0, 0), (1, 0)}
    (folder / "p.gmt").write_text("Repair\tx\tTP53\n\nGrowth\tx\tMYC\n")
    found = error_of(named('load("p.gmt")'), folder)
    assert (found.code.code, found.label) == ("E331", "line 3 of p.gmt")


def test_vectors(folder):
    np.savez(folder / "e.npz", source=np.array([0, 2, 2], np.uint8), target=[1, 0, 1], w=[0.5, 1, 2])
    assert pairs('load("e.npz")', 3, 2, folder=folder) == PAIRS
    found = connection('load("e.npz")', 3, 2, attributes='weight = column("w")', folder=folder)
    np.testing.assert_array_equal(found.weight.start.value, [1, 0.5, 2])
    np.savez(folder / "n.npz", source=["BRCA1", "007"], target=["Growth", "Cell, cycle"])
    assert edges_of(named('load("n.npz")'), folder) == {(1, 2), (2, 1)}
    names = np.array(["007", "TP53", "gone"])
    arrays = {"source": [0, 1], "source.names": names, "target": ["Growth", "Repair"]}
    np.savez(folder / "n.npz", **arrays)
    assert edges_of(named('load("n.npz")'), folder) == {(2, 2), (0, 0)}  # by name, in another order
    arrays["target"] = [1, 0]
    np.savez(folder / "n.npz", **arrays)
    assert pairs('load("n.npz")', 3, 2, folder=folder) == {(0, 1), (1, 0)}


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"source": [0, 1], "target": [0]}, "E608"),
        ({"source": [[0, 1]], "target": [[0, 1]]}, "E608"),
        ({"source": [0j], "target": [0]}, "E608"),
        ({"source": [0.5], "target": [0]}, "E610"),
        ({"source": [0, 4], "target": [0, 0]}, "E204"),
        ({"source": [0, 1], "source.names": ["a"], "target": [0, 0]}, "E608"),
        ({"source": [0, 1], "source.names": [1, 2], "target": [0, 0]}, "E608"),
        ({"sources": [0], "target": [0]}, "E609"),
        ({}, "E608"),
        ({"mask": np.eye(3)}, "E611"),
    ],
)
def test_vectors_refused(tmp_path, arrays, code):
    np.savez(tmp_path / "e.npz", **arrays)
    assert refusal('load("e.npz")', 3, 2, folder=tmp_path).code.code == code


# -------------------------------------------------------------------------------------------------- matrices


VALUE = 'weight = column("value")'


@pytest.mark.parametrize("field", ["real", "integer", "pattern"])
def test_matrix_market(tmp_path, field):
    matrix = sparse.coo_array((np.array([2, 3, 4.0]), ([1, 0, 1], [0, 2, 2])), shape=(2, 3))
    comment = "a comment\nand more"
    scipy_io.mmwrite(tmp_path / "m.mtx", matrix, field=field, comment=comment, symmetry="general")
    assert pairs('load("m.mtx", rows = target)', 3, 2, folder=tmp_path) == PAIRS
    if field == "pattern":
        found = refusal('load("m.mtx", rows = target)', 3, 2, attributes=VALUE, folder=tmp_path)
        assert found.code.code == "E410"
        return
    found = connection('load("m.mtx", rows = target)', 3, 2, attributes=VALUE, folder=tmp_path)
    np.testing.assert_array_equal(found.weight.start.value, [3, 2, 4])


@pytest.mark.parametrize("symmetry", ["symmetric", "skew-symmetric"])
def test_symmetric_matrix_market(tmp_path, symmetry):
    sign = 1 if symmetry == "symmetric" else -1
    dense = np.array([[0, 2.0, 0], [sign * 2, 0, 5], [0, sign * 5, 0]])
    scipy_io.mmwrite(tmp_path / "m.mtx", sparse.coo_array(dense), symmetry=symmetry)
    found = connection('load("m.mtx", rows = target)', 3, 3, attributes=VALUE, folder=tmp_path)
    source, target = found.edges.edges()
    np.testing.assert_array_equal(found.weight.start.value, dense[target, source])


def test_dense_matrix_market(tmp_path):
    scipy_io.mmwrite(tmp_path / "m.mtx", np.array([[0, 1.0], [0, 0], [2, 3]]))
    assert pairs('load("m.mtx", rows = source)', 3, 2, folder=tmp_path) == PAIRS


HEAD = "%%MatrixMarket matrix coordinate real general\n"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "3 2 1\n1 1 1\n",
        HEAD,
        HEAD + "3 2\n",
        HEAD + "3 2 -1\n",
        HEAD + "3 2 1\n1 1\n",
        HEAD + "3 2 1\n1 1 x\n",
        HEAD + "3 2 1\n1 1 1 1\n",
        HEAD + "3 2 1\n1.5 1 1\n",
        HEAD + "3 2 1\n0 1 1\n",
        HEAD + "3 2 1\n4 1 1\n",
        HEAD + "3 2 1\n1 1 é\n",
        HEAD + "3 2 999999999999999999\n1 1 1\n",
        HEAD + "% only comments",
        HEAD.replace("real", "complex") + "3 2 1\n1 1 1 0\n",
        HEAD.replace("general", "hermitian") + "3 2 1\n1 1 1\n",
        HEAD.replace("coordinate", "array").replace("general", "symmetric") + "2 2\n1\n2\n3\n",
    ],
)
def test_damaged_matrix_market(tmp_path, content):
    (tmp_path / "m.mtx").write_text(content)
    assert refusal('load("m.mtx", rows = source)', 3, 2, folder=tmp_path).code.code == "E606"


def test_an_entry_twice(tmp_path):
    (tmp_path / "m.mtx").write_text(HEAD + "3 2 2\n1 1 1\n1 1 2\n")
    assert refusal('load("m.mtx", rows = source)', 3, 2, folder=tmp_path).code.code == "E311"


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_scipy(tmp_path, kind):
    matrix = sparse.coo_array((np.array([2, 3, 4.0]), ([1, 0, 1], [0, 2, 2])), shape=(2, 3)).asformat(kind)
    sparse.save_npz(tmp_path / "m.npz", matrix)
    found = connection('load("m.npz", rows = target)', 3, 2, attributes=VALUE, folder=tmp_path)
    source, target = found.edges.edges()
    np.testing.assert_array_equal(found.weight.start.value, matrix.toarray()[target, source])
    assert found.edges.count == 3


def test_scipy_refused(tmp_path):
    matrix = sparse.coo_array((np.ones(3), ([1, 0, 1], [0, 2, 2])), shape=(2, 3))
    sparse.save_npz(tmp_path / "m.npz", matrix.tocsr())
    assert refusal('load("m.npz")', 3, 2, folder=tmp_path).code.code == "E611"
    assert refusal('load("m.npz", rows = source)', 3, 2, folder=tmp_path).code.code == "E612"
    sparse.save_npz(tmp_path / "m.npz", sparse.bsr_array(matrix))
    assert refusal('load("m.npz", rows = target)', 3, 2, folder=tmp_path).code.code == "E606"
    sparse.save_npz(tmp_path / "m.npz", matrix.tocsr())
    sound = dict(np.load(tmp_path / "m.npz"))
    for wrong in (
        {"indptr": [0, 1, 9]},
        {"indptr": [0, 3]},
        {"indptr": [0, 3, 2]},
        {"indices": [0, 1, 9]},
        {"indices": [0.5, 1, 2]},
        {"data": [1.0]},
        {"shape": [2]},
        {"format": "dia"},
    ):
        np.savez(tmp_path / "m.npz", **(sound | wrong))
        assert refusal('load("m.npz", rows = target)', 3, 2, folder=tmp_path).code.code == "E606", wrong
    del sound["data"]
    np.savez(tmp_path / "m.npz", **sound)
    assert refusal('load("m.npz", rows = target)', 3, 2, folder=tmp_path).code.code == "E606"


# ------------------------------------------------------------------------------------------- names, policies


def test_names_are_names(folder):
    content = 'source,target\nBRCA1,"Cell, cycle"\n007,Repair\n'
    (folder / "e.csv").write_text(content)
    assert edges_of(named('load("e.csv")'), folder) == {(1, 1), (2, 0)}
    wrongs = (("7,Repair", 2), (" 007,Repair", 2), ("007,Repair\nbrca1,Repair", 3), ("2,Repair", 2))
    for wrong, line in wrongs:
        (folder / "e.csv").write_text(f"source,target\n{wrong}\n")
        found = error_of(named('load("e.csv")'), folder)
        assert (found.code.code, found.label) == ("E331", f"line {line} of e.csv")
    (folder / "e.csv").write_text("source,target\nbrca1,Repair\n")
    assert "did you mean `BRCA1`?" in error_of(named('load("e.csv")'), folder).help


def test_names_in_a_side_that_has_none(folder):
    """An axis of a size alone has no names that could be among others."""
    text = f"model m\n{NAMED}axis place = 3\ninput x[place]\nlayer y[path]\n"
    text += "connect x -> y : { i -> j : i in gene }\n"
    assert [d.code.code for d in resolved(text, folder)[1] if d.severity == "error"] == ["E222"]


def test_unknown_names(folder):
    rows = ["source,target,w", "MYC,Repair,1", "TP53,Repair,2", "TP53,Gone,3", "BRCA1,Growth,4"]
    (folder / "e.csv").write_text("\n".join(rows))
    text = named('load("e.csv", unknown = skip)', attributes='weight = column("w")')
    found = model(text, folder).connections[0]
    assert list(zip(*map(np.ndarray.tolist, found.edges.edges()), strict=True)) == [(0, 0), (1, 2)]
    np.testing.assert_array_equal(found.weight.start.value, [2, 4])


def test_duplicate_names(folder):
    (folder / "e.csv").write_text("source,target\nTP53,Repair\nTP53,Growth\n\nTP53,Repair\n")
    found = error_of(named('load("e.csv")'), folder)
    assert (found.code.code, found.label) == ("E311", "again on line 5 of e.csv")
    assert '"TP53" -> "Repair"' in found.message
    assert edges_of(named('load("e.csv", duplicate = merge)'), folder) == {(0, 0), (0, 2)}


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ('column("kind") == "a"', {(0, 0), (0, 1)}),
        ('column("kind") != "a"', {(1, 0), (1, 1)}),
        ('"a" == column("kind")', {(0, 0), (0, 1)}),
        ('column("kind") in ["a", "b"]', {(0, 0), (0, 1), (1, 0)}),
        ('not column("kind") in ["a"] and column("w") > 3', {(1, 1)}),
        ('column("w") in 2..3', {(0, 1), (1, 0)}),
        ('1 < column("w") <= 3', {(0, 1), (1, 0)}),
        ('column("w") * 2 == 4 or (column("kind")) == ("c")', {(0, 1), (1, 1)}),
        ('column("w") == column("v")', {(0, 0), (1, 1)}),
        ('column("kind") == column("like")', {(0, 0)}),
        ('column("w") > n', {(1, 0), (1, 1)}),
        ("1 < 2", {(0, 0), (0, 1), (1, 0), (1, 1)}),
    ],
)
def test_where(tmp_path, condition, kept):
    (tmp_path / "e.csv").write_text(
        "source,target,kind,like,w,v\n0,0,a,a,1,1.0\n0,1,a,b,2,3\n1,0,b,c,3,2\n1,1,c,a,4,04\n"
    )
    edges = f'load("e.csv", where = {condition})'
    assert pairs(edges, 2, 2, before="param n = 2", folder=tmp_path) == kept
    weighted = connection(
        edges, 2, 2, before="param n = 2", attributes='weight = 10 * column("w")', folder=tmp_path
    )
    source, target = weighted.edges.edges()
    expected = 10 * np.array([[1, 2], [3, 4]])[source, target]
    np.testing.assert_array_equal(weighted.weight.start.value, expected)


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ('column("w")', "E218"),
        ('column("x") == 1', "E609"),
        ("column(kind) == 1", "E229"),
        ("column() == 1", "E226"),
        ('column("kind") == 1', "E610"),
        ('column("kind") < "b"', "E242"),
        ('column("w") == 1 + "a"', "E212"),
        ('3 == "a"', "E243"),
        ('column("w") == nothing', "E207"),
        ('kind == "a"', "E207"),
    ],
)
def test_where_refused(tmp_path, condition, code):
    (tmp_path / "e.csv").write_text("source,target,kind,w\n0,0,a,1\n")
    assert refusal(f'load("e.csv", where = {condition})', 2, 2, folder=tmp_path).code.code == code


def test_places_count_rows_of_the_file(tmp_path):
    """Also where a condition drops rows before."""
    (tmp_path / "e.csv").write_text("source,target,kind\n0,0,a\n9,9,b\n\n0,1,a\n0,7,a\n")
    found = refusal('load("e.csv", where = column("kind") == "a")', 2, 2, folder=tmp_path)
    assert (found.code.code, found.label) == ("E204", "line 6 of e.csv")
    found = refusal('load("e.csv", where = column("kind") != "a")', 2, 2, folder=tmp_path)
    assert found.label == "line 3 of e.csv"


def test_merged_values(tmp_path):
    content = "source,target,w\n0,0,1\n5,5,9\n0,1,2\n0,0,{again}\n"
    edges = 'load("e.csv", duplicate = merge, outside = skip)'
    (tmp_path / "e.csv").write_text(content.format(again="1.0"))
    found = connection(edges, 2, 2, attributes='weight = column("w")', folder=tmp_path)
    np.testing.assert_array_equal(found.weight.start.value, [1, 2])
    (tmp_path / "e.csv").write_text(content.format(again="3"))
    refused = refusal(edges, 2, 2, attributes='weight = column("w")', folder=tmp_path)
    assert refused.code.code == "E430"
    assert "1 on line 2, 3 on line 5" in refused.message
    assert connection(edges, 2, 2, folder=tmp_path).edges.count == 2
    # What stands twice alike may be unlike the first of the file.
    (tmp_path / "e.csv").write_text("source,target,w\n0,0,1\n0,1,2\n0,1,2\n")
    found = connection(edges, 2, 2, attributes='weight = column("w")', folder=tmp_path)
    np.testing.assert_array_equal(found.weight.start.value, [1, 2])


def test_many_names(folder):
    """Names to units without a step of Python's for each row."""
    count = 20_000
    rng = np.random.default_rng(0)
    names = [f"g{n}" for n in rng.permutation(count)]
    (folder / "many.txt").write_text("\n".join(names))
    source, target = rng.integers(count, size=(2, 50_000))
    keys = np.unique(target * count + source)
    rng.shuffle(keys)
    target, source = np.divmod(keys, count)
    lines = (f"{names[s]},{names[t]}" for s, t in zip(source, target, strict=True))
    (folder / "e.csv").write_text("source,target\n" + "\n".join(lines))
    text = 'model m\naxis g = names("many.txt")\ninput x[g]\nlayer y[g]\nconnect x -> y : load("e.csv")\n'
    found = model(text, folder).connections[0].edges
    np.testing.assert_array_equal(found.edges()[1] * count + found.edges()[0], np.sort(keys))
