"""How findings are collected and explained, beside the cases of `tests/bad`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nnspec.compiler import codes
from nnspec.compiler.command.main import main
from nnspec.compiler.pipeline import understand
from nnspec.dsl.diagnostics import Report, SpecError
from nnspec.dsl.findings import Diagnostic
from nnspec.dsl.render import render
from nnspec.dsl.source import Source, Span

from ..steps import assert_in_proportion, lines_run

HERE = Path(__file__).parent.parent


def found(folder: Path, text: str, params: dict[str, int | float] | None = None) -> list[Diagnostic]:
    path = folder / "spec.nnspec"
    path.write_text(text)
    try:
        return list(understand(path, params).diagnostics)
    except SpecError as error:
        return list(error.diagnostics)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


# ------------------------------------------------------------------------------------------------ explain


@pytest.mark.parametrize("form", [["--explain", "E204"], ["--explain=E204"], ["--explain", "e204"]])
def test_explain_prints_the_paragraph_and_both_examples(form: list[str]) -> None:
    result = run(*form)
    assert result.exit_code == 0
    assert result.output.startswith("error[E204]: an edge outside its side\n\nA rule or a file makes an edge")
    assert result.output.endswith(" -> y : { i -> i + 1 ; outside = wrap }\n")
    assert "\nWrong:\n    model m\n" in result.output
    assert "\nRight:\n    model m\n" in result.output


@pytest.mark.parametrize("code", ["E101", "W303", "E502"])
def test_syntax_and_warnings_are_explained_too(code: str) -> None:
    result = run("--explain", code)
    assert result.exit_code == 0
    severity = "warning" if code.startswith("W") else "error"
    assert result.output.startswith(f"{severity}[{code}]: ")


def test_explain_of_an_unknown_code() -> None:
    result = run("--explain", "E2004")
    assert result.exit_code == 2
    assert "no diagnostic has the code `E2004`; did you mean `E204`?" in result.output
    assert run("--explain", "nonsense").exit_code == 2
    assert "did you mean" not in run("--explain", "nonsense").output
    assert run("--explain").exit_code == 2


def test_by_code_has_them_all() -> None:
    known = codes.by_code()
    assert known["E101"].message.startswith("expected")
    assert known["E204"] is codes.OUTSIDE
    assert all(code == value.code for code, value in known.items())


# ------------------------------------------------------------------------------------------------- report


SOURCE = Source("m.nnspec", "model m\n")


def test_of_errors_of_one_kind_at_one_place_the_first_is_kept() -> None:
    report = Report(SOURCE)
    for name in ("h1", "h2"):
        report.add(codes.UNKNOWN_NAME, Span(0, 5), kind="layer", name=name)
    report.add(codes.UNKNOWN_NAME, Span(6, 7), kind="layer", name="h1")
    report.add(codes.DIVISION_BY_ZERO, Span(0, 5))
    assert [d.message for d in report.diagnostics] == [
        "no layer is called `h1`",
        "division by zero",
        "no layer is called `h1`",
    ]


def test_the_same_warning_counts_once_and_others_stay() -> None:
    report = Report(SOURCE)
    for name in ("x", "y", "x"):
        report.add(codes.UNUSED, Span(0, 5), what="input", name=name)
    assert len(report.diagnostics) == 2
    assert not report.failed


def test_an_empty_help_is_none() -> None:
    report = Report(SOURCE)
    report.add(codes.DIVISION_BY_ZERO, Span(0, 5), help=())
    assert "help" not in render(report.diagnostics, SOURCE)


def test_a_mistake_in_a_long_loop_is_reported_once_in_steps_by_its_turns(tmp_path: Path) -> None:
    counts: list[int] = []
    for turns in (3, 100, 200, 300):  # the first for imports and caches
        text = f"model m\ninput x[3]\nfor k in 1..{turns} {{ connect x -> h{{k}} : all }}"
        count, diagnostics = lines_run(lambda text=text: found(tmp_path, text))
        assert [d.message for d in diagnostics] == ["no layer is called `h1`"]
        counts.append(count)
    assert_in_proportion(counts[1:])


# ----------------------------------------------------------------------------------------------- at once


def test_errors_of_different_steps_are_reported_together(tmp_path: Path) -> None:
    text = """model m
        param width = 3 +
        input x[0]
        """
    assert [d.code.code for d in found(tmp_path, text)] == ["E101"]
    text = """model lambda
        param a = b
        input x[0]
        layer h[3] : tahn
        edges e : h -> h = { 0 -> 9 }
        layer y[3]
        connect h -> y : on
        connect h -> z : all
        output q
        loss mse(y, t)
        """
    expected = ["E205", "E207", "E214", "E401", "E204", "E307", "E201", "E201", "E201"]
    assert [d.code.code for d in found(tmp_path, text)] == expected


def test_the_network_is_checked_only_when_its_parts_are_right(tmp_path: Path) -> None:
    text = "model m\ninput x[3]\nlayer y[3]\nlayer z[3]\nconnect x -> y : all\nlayer w[0]"
    assert [d.code.code for d in found(tmp_path, text)] == ["E214"]


@pytest.mark.parametrize(
    ("name", "codes_of_names"),
    [
        ("layer forward[3]\nconnect x -> forward : all\noutput forward", ["E205"]),
        ("param none = 3", ["E205"]),
        ("layer a__b[3]\nconnect x -> a__b : all\noutput a__b", ["E206"]),
        ("layer h[3] : tahn\nconnect x -> h : all\noutput h", ["E401"]),
        ("for off in 1..2 { layer h{off}[off]\nconnect x -> h{off} : all\noutput h{off} }", ["E205"]),
    ],
)
def test_a_name_that_is_refused_hides_nothing(name: str, codes_of_names: list[str], tmp_path: Path) -> None:
    text = f"model m\ninput x[3]\n{name}\nlayer y[3]\noutput y"
    errors = [d.code.code for d in found(tmp_path, text) if d.severity == "error"]
    assert sorted(errors) == sorted([*codes_of_names, "E317"])
    text += "\nlayer z[3]\nlayer w[0]\nconnect x -> y : all\nconnect y -> z : all\nconnect z -> y : all"
    errors = [d.code.code for d in found(tmp_path, text) if d.severity == "error"]
    assert sorted(errors) == sorted([*codes_of_names, "E214", "E316"])


@pytest.mark.parametrize(
    "text",
    [
        "layer gene[3]\nconnect x -> gene : all\nlayer gene[4]",
        "axis gene = 4\nlayer y[gene]\nconnect x -> y : { i -> j : j < gene }\nedges e : gene -> y = all",
        "layer forward[3]\nconnect x -> forward : all\nloss mse(forward, x)",
        "edges e : x -> q = all\nlayer y[3]\nconnect x -> y : e",
        "param p1 = 1 / 0\nlayer y[p1]\nconnect x -> y : all",
        "param p1 = p2\nparam p2 = p1\nlayer y[p1 + p2]\nconnect x -> y : all",
    ],
)
def test_one_mistake_is_one_error(text: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, f"model m\ninput x[3]\n{text}")
    assert len(diagnostics) == 1, [d.message for d in diagnostics]


# ------------------------------------------------------------------------------------- params from outside


SIZED = "model m\nparam width = 3\ninput x[width]\nlayer y[width + 1]\nconnect x -> y : all"


def test_params_given_from_outside_are_64_bit_numbers(tmp_path: Path) -> None:
    assert found(tmp_path, SIZED, {"width": 5}) == []
    (diagnostic,) = found(tmp_path, SIZED, {"width": 10**30})
    assert diagnostic.code is codes.NUMBER_TOO_LARGE
    assert diagnostic.label == "given by -D"
    assert {d.code.code for d in found(tmp_path, SIZED, {"width": 2.5})} == {"E213"}


def test_an_unknown_param_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "m.nnspec"
    path.write_text(SIZED)
    result = run("check", str(path), "-D", "widht=3")
    assert result.exit_code == 2
    assert "did you mean `width`?" in result.output


# ------------------------------------------------------------------------------------------------- accepted


@pytest.mark.parametrize(
    "text",
    [
        # A squashing that something follows is no output that the loss squashes again.
        "layer y[3] : sigmoid, batch_norm\nconnect x -> y : all\nloss binary_cross_entropy(y, t)",
        "param p = 3\nparam values = p\nedges np : x -> x = all\nlayer y[values]\nconnect x -> y : np",
        "layer y[3]\nconnect x -> y : all\nfor p in 1..1 { output y }",
        "layer y[3]\nconnect x -> y : { 0 -> 0, 0 -> 0, 1 -> 1, 2 -> 2 ; duplicate = merge }",
        "layer y[3] : batch_norm(momentum = 0), leaky_relu(0)\nconnect x -> y : all",
        "layer y[3]\nconnect x -> y : all\nloss -mse(y, t) + (2 * mae(y, t)) / 4",
    ],
)
def test_nothing_right_is_refused(text: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, f"model m\ninput x[3]\ntarget t[3]\n{text}")
    assert not [d.message for d in diagnostics if d.severity == "error"]


def test_no_case_shows_a_python_error() -> None:
    """What Python or NumPy say stays behind: their words are for programmers."""
    for path in (HERE / "bad").glob("*.expected"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"Traceback|codec|allow_pickle|numpy\.|<class|object at", text), path.name
