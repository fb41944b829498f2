"""The benchmarks at toy sizes: everything is checked against NumPy, and nothing about times is asserted."""

from __future__ import annotations

import gc
import importlib
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `python -m benchmarks` is run from there; it is not in the package

from benchmarks import machine, report, transposes  # noqa: E402
from benchmarks.evidence import findings, worst_plan  # noqa: E402
from benchmarks.harness import TOY, Case, Made, Version, in_process, measured, reason  # noqa: E402
from benchmarks.problems import Layer, block_edges, copies, drawn_edges  # noqa: E402

pytestmark = pytest.mark.xdist_group("keras")


# Of the cases that differ in density and batch alone; the long test has them all.
DENSITIES = ("1% at batch 1", "30% at batch 8")


def measure_all(module: str) -> dict[str, Any]:
    versions = importlib.import_module(f"benchmarks.{module}")
    cases = [
        case for case in versions.cases(TOY) if case.name in DENSITIES or not report.by_density(case.name)
    ]
    assert {case.name for case in cases} >= set(DENSITIES)
    gc.collect()
    gc.freeze()  # it is collected before every version: what else this process holds is not looked through
    results = [measured(case, versions.FRAMEWORK, TOY.rounds) for case in cases]
    gc.unfreeze()
    return {result["case"]: result for result in results}


@pytest.fixture(scope="session")
def cases() -> dict[str, Any]:
    return measure_all("torch_versions")


@pytest.mark.slow
def test_every_version_of_keras_gives_what_numpy_gives() -> None:
    test_every_version_gives_what_numpy_gives(measure_all("keras_versions"))


@pytest.mark.slow
def test_every_version_gives_what_numpy_gives(cases: dict[str, Any]) -> None:
    failures = {
        f"{name}, {row['version']}": row["failure"]
        for name, case in cases.items()
        for row in case["rows"]
        if row["failure"] and row["failure"] != "not installed"
    }
    assert not failures


def test_every_figure_can_be_worked_out_or_says_why_not(cases: dict[str, Any]) -> None:
    found = findings(cases, {"1% at batch 1": "edges"}, TOY)
    figures = {(finding.work, finding.unit) for finding in found if finding.figure}
    assert {("one layer", "R"), ("one layer", "of gather"), ("peak memory, one layer", "arrays")} <= figures
    assert all(finding.figure or finding.missing for finding in found)


def test_a_plan_is_compared_with_the_better_kernel() -> None:
    def case(masked: float, edges: float) -> dict[str, Any]:
        rows = [("nnspec masked", masked), ("nnspec edges", edges)]
        return {"rows": [{"version": name, "both": [ms], "failure": None} for name, ms in rows]}

    cases = {"a": case(1.0, 3.0), "b": case(4.0, 2.0)}
    assert worst_plan(cases, {"a": "edges", "b": "edges"}).value == 3
    assert worst_plan(cases, {"a": "masked", "b": "edges"}).value == 1


def test_json_tables_plot_and_page_are_written(cases: dict[str, Any], tmp_path: Path) -> None:
    found = findings(cases, {}, TOY)
    report.write_json(tmp_path / "results.json", cases, found, {})
    content = json.loads((tmp_path / "results.json").read_text())
    assert len(content["evidence"]) == len(found)
    assert report.evidence_table(found, "").row_count == len(found)
    rows = sum(2 + len(case["rows"]) for name, case in cases.items() if not report.by_density(name))
    assert report.versions_table(cases, "").row_count == rows
    said = report.plot(tmp_path / "plot.png", cases)
    assert (tmp_path / "plot.png").exists() or "not installed" in said
    tables = report.page_tables(cases, found, {}, "setting", "AMD")
    other = "<!-- benchmarks: layer, Intel -->\nstays\n<!-- end -->\n"
    page = f"before\n<!-- benchmarks: layer, AMD -->\nold\n<!-- end -->\n{other}after\n"
    filled = report.filled_in(page, tables)
    assert "old" not in filled
    assert filled.endswith(f"{other}after\n")
    with pytest.raises(KeyError, match="no place"):
        report.filled_in(other, tables)
    assert "nnspec edges" in filled
    assert report.filled_in(filled, tables) == filled


def test_markers_of_the_page_are_cases() -> None:
    modules = [importlib.import_module(f"benchmarks.{name}_versions") for name in ("torch", "keras")]
    cases = [case.name for module in modules for case in module.cases(TOY)]
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    markers = re.findall(r"<!-- benchmarks: ([^>]+) -->", page)
    makers = {marker.partition(", ")[2] for marker in markers}
    assert makers == {"Intel", "AMD"}
    known = {"setting", "evidence", "density", "jax layer", "transposes", "time"}
    known |= {n for n in cases if not report.by_density(n)}
    assert {marker.partition(", ")[0] for marker in markers} == known


def a_case(*versions: Version) -> Case:
    def problem() -> Layer:
        return Layer(drawn_edges(8, 1, 3), 2)

    return Case("case", problem, problem, versions)


def test_what_fails_is_a_row() -> None:
    from benchmarks.harness import Framework

    def raising(problem: Layer) -> Made:
        raise RuntimeError("you tried to allocate 40000000000 bytes")

    def wrong(problem: Layer) -> Made:
        return Made(lambda: problem.reference, lambda results: [array + 1 for array in results])

    def right(problem: Layer) -> Made:
        return Made(lambda: problem.reference, lambda results: results)

    case = a_case(Version("raising", raising), Version("wrong", wrong), Version("right", right))
    result = measured(case, Framework("none", "", copies, None), 2, {"right": "fails: its process is ended"})
    assert [row["failure"] for row in result["rows"]] == [
        "fails: asks for 40 GB",
        "fails: AssertionError: result 0 is 1 off",
        "fails: its process is ended",
    ]


def test_reasons_are_short() -> None:
    oom = "OOM when allocating tensor with shape[100000,100000] and type float"
    assert reason(RuntimeError(oom)) == "fails: asks for 40 GB"
    assert reason(RuntimeError("a\nb")) == "fails: RuntimeError: a"


def test_the_two_references_agree() -> None:
    edges = block_edges(1600, 16)
    layer = Layer(edges, 3)
    assert edges.n_source * edges.n_target > 2_000_000
    y, of_x, of_weight = layer.reference
    matrix = layer.weight.reshape(100, 16, 16)
    x, upstream = layer.x.reshape(3, 100, 16), layer.upstream.reshape(3, 100, 16)
    import numpy as np

    np.testing.assert_allclose(y.reshape(x.shape), np.einsum("nts,bns->bnt", matrix, x), 1e-4, 1e-4)
    np.testing.assert_allclose(of_x.reshape(x.shape), np.einsum("nts,bnt->bns", matrix, upstream), 1e-4, 1e-4)
    wanted = np.einsum("bnt,bns->nts", upstream, x).ravel()
    np.testing.assert_allclose(of_weight, wanted, 1e-4, 1e-4)


@pytest.mark.slow
def test_a_framework_is_measured_in_a_process_of_its_own() -> None:
    done, problems = in_process("torch_versions", TOY, lambda at: None)
    assert not problems
    assert "layer" in {case["case"] for case in done}
    assert asdict(TOY)["units"] < 100


def test_headings_name_the_processor_and_its_caches(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("vendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC(TM)  Processor\n")
    caches = [("1", "Data", "32K", "0"), ("1", "Instruction", "32K", "0"), ("2", "Unified", "1024K", "0")]
    for number, facts in enumerate([*caches, ("3", "Unified", "32768K", "0-1")]):
        folder = tmp_path / "cpu0" / "cache" / f"index{number}"
        folder.mkdir(parents=True)
        for name, fact in zip(("level", "type", "size", "shared_cpu_list"), facts, strict=True):
            (folder / name).write_text(f"{fact}\n")
    said = machine.described(tmp_path / "cpuinfo", tmp_path)
    assert re.fullmatch(r"AMD EPYC Processor, \d+ cores, L1d 32 kB a core, L2 1 MB a core, L3 32 MB", said)
    assert machine.maker(tmp_path / "cpuinfo") == "AMD"
    assert machine.described(tmp_path / "none", tmp_path / "none").endswith("caches unknown")


def test_every_form_transposes_and_has_a_row(tmp_path: Path) -> None:
    """Sizes that no tile divides; `measured` compares every form with `x.t()`."""
    rows = transposes.measured(9, 7777, 2)
    assert [len(cells) for cells in rows] == [len(transposes.HEADINGS)] * (1 + len(transposes.forms()))
    page = tmp_path / "page.md"
    page.write_text(f"<!-- benchmarks: transposes, {machine.maker()} -->\nold\n<!-- end -->\n")
    transposes.write_page(page, 9, 7777, rows)
    assert "what a layer does" in page.read_text()
    assert "old" not in page.read_text()
