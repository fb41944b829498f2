"""Ways to copy between (batch, units) and (units, batch): `python -m benchmarks.transposes`.

Kernels along edges compute units first, so a sparse layer between arrays that are batch first transposes
four of them, and which form is quick depends on the machine's caches. Every form is compared with `x.t()`;
then all take turns with a plain copy into an array that is there. A form makes its result, as a layer does. A
time is the lower quartile of many, since most of what a busy machine adds comes in long pieces.

    python -m benchmarks.transposes            64 x 100,000, float32: about a minute
    python -m benchmarks.transposes --docs     writes the table into docs/performance.md too
    OMP_NUM_THREADS=1 python -m benchmarks.transposes     on one core, in its own time
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from nnspec.backends.torch.kernels.units_first import TransposedCopy

from . import machine, report
from .harness import ROOT

PAGE = ROOT / "docs" / "performance.md"
HEADINGS = ("form", "tile", "to units first", "in copies", "back", "in copies")
ROUNDS = 41

Form = Callable[[Tensor], Tensor]


def slices(x: Tensor, units: int) -> Tensor:
    """Some units at a time, number by number."""
    copy = x.new_empty(x.shape[::-1])
    wide = int(x.shape[0] < x.shape[1])
    for some, place in zip(x.split(units, wide), copy.split(units, 1 - wide), strict=True):
        place.unsqueeze(0).copy_(some.t().unsqueeze(0))
    return copy


def third_dimension(x: Tensor) -> Tensor:
    """Number by number, on all cores: two-dimensional copies take a routine for one."""
    copy = x.new_empty(x.shape[::-1])
    copy.unsqueeze(0).copy_(x.t().unsqueeze(0))
    return copy


def side_by_side(x: Tensor, units: int) -> Tensor:
    """All tiles transposed, number by number, into a second array, from which they are copied in runs."""
    wide = int(x.shape[0] < x.shape[1])
    copy, whole = x.new_empty(x.shape[::-1]), x.shape[wide] // units * units
    tiles = x.narrow(wide, 0, whole).unflatten(wide, (-1, units)).movedim(wide, 0).transpose(1, 2)
    place = copy.narrow(1 - wide, 0, whole).unflatten(1 - wide, (-1, units)).movedim(1 - wide, 0)
    place.copy_(tiles.contiguous())
    rest = x.shape[wide] - whole
    copy.narrow(1 - wide, whole, rest).copy_(x.narrow(wide, whole, rest).t())
    return copy


def pixels(x: Tensor, units: int, at_once: int) -> Tensor:
    """Some tiles at a time, packed, transposed by vector instructions, and put in their place."""
    wide = int(x.shape[0] < x.shape[1])
    copy, whole = x.new_empty(x.shape[::-1]), x.shape[wide] // units * units
    steps = zip(
        x.narrow(wide, 0, whole).split(at_once * units, wide),
        copy.narrow(1 - wide, 0, whole).split(at_once * units, 1 - wide),
        strict=True,
    )
    for some, place in steps:
        tiles = some.unflatten(wide, (-1, units)).movedim(wide, 0)
        packed = tiles.contiguous().view(1, 1, len(tiles), -1).permute(0, 3, 1, 2)
        turned = torch.channel_shuffle(packed, tiles.shape[1]).permute(0, 2, 3, 1)
        place = place.unflatten(1 - wide, (-1, units)).movedim(1 - wide, 0)
        place.copy_(turned.reshape(place.shape))
    rest = x.shape[wide] - whole
    copy.narrow(1 - wide, whole, rest).copy_(x.narrow(wide, whole, rest).t())
    return copy


def padded_rows(x: Tensor, units: int) -> Tensor:
    """Slices into rows that are 112 numbers longer than needed; the result is a view of these."""
    if x.shape[0] < x.shape[1]:
        return slices(x, units)
    copy = x.new_empty(x.shape[1], x.shape[0] + 112)[:, : x.shape[0]]
    for some, place in zip(x.split(units), copy.split(units, 1), strict=True):
        place.unsqueeze(0).copy_(some.t().unsqueeze(0))
    return copy


def product(x: Tensor) -> Tensor:
    """A product with the identity of the batch."""
    if x.shape[0] < x.shape[1]:
        return x.t() @ torch.eye(x.shape[0], dtype=x.dtype)
    return torch.eye(x.shape[1], dtype=x.dtype) @ x.t()


def one_pixel(x: Tensor) -> Tensor:
    """The whole matrix by vector instructions, on one core."""
    packed = x.view(1, 1, 1, -1).permute(0, 3, 1, 2)
    return torch.channel_shuffle(packed, x.shape[0]).reshape(x.shape[::-1])


def one_dnn(x: Tensor) -> Tensor:
    """By oneDNN: into its own kind of array, transposed there, and out again."""
    return torch._mkldnn_transpose(x.to_mkldnn(), 0, 1).to_dense()


def forms() -> list[tuple[str, str, Form]]:
    """A name, the tile's units, and what copies a matrix to its transpose."""
    found: list[tuple[str, str, Form]] = [
        ("what a layer does", "", TransposedCopy.forward),
        ("a plain copy into a new array, and a view", "", lambda x: x.clone().t()),
        ("x.t().contiguous()", "", lambda x: x.t().contiguous()),
        ("a copy of three dimensions", "", third_dimension),
        ("a product with the identity", "", product),
        ("channel_shuffle, one pixel, one core", "", one_pixel),
    ]
    if torch.backends.mkldnn.is_available():
        found.append(("oneDNN, to and from its arrays", "", one_dnn))
    for units in (1000, 4000, 10_000):
        found.append(("slices", f"{units}", lambda x, n=units: slices(x, n)))
    for units in (1000, 4000):
        found.append(("slices into padded rows", f"{units}", lambda x, n=units: padded_rows(x, n)))
    for units in (64, 128, 512):
        found.append(("tiles side by side", f"{units}", lambda x, n=units: side_by_side(x, n)))
    for units, at_once in ((128, 32), (256, 4), (256, 16), (512, 8), (512, 32), (512, 128), (1024, 16)):
        name = f"channel_shuffle, {at_once} tiles at a time"
        found.append((name, f"{units}", lambda x, n=units, k=at_once: pixels(x, n, k)))
    return found


def milliseconds(run: Callable[[], object]) -> float:
    """How long a call takes; of a single thread its own time, which a busy machine changes less."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    run()
    return 1000 * (clock() - start)


def quartile(times: Sequence[float]) -> float:
    """What a quarter of the times is below."""
    return statistics.quantiles(times, n=4, method="inclusive")[0]


def measured(batch: int, units: int, rounds: int) -> list[report.Cells]:
    """A row for each form, both directions. Raises AssertionError where a form does not transpose."""
    torch.manual_seed(0)
    ends = {"to": torch.randn(batch, units), "back": torch.randn(units, batch)}
    into, listed = torch.empty(batch, units), forms()
    for name, _, form in listed:
        for x in ends.values():
            assert torch.allclose(form(x), x.t()), name
    copying, times = list[float](), dict[tuple[int, str], list[float]]()
    for _ in range(rounds):
        for number, (_, _, form) in enumerate(listed):
            copying.append(milliseconds(lambda: into.copy_(ends["to"])))
            for way, x in ends.items():
                times.setdefault((number, way), []).append(milliseconds(lambda x=x, form=form: form(x)))
    copy = quartile(copying)
    rows = [["a plain copy", "", report.number(copy), "1", report.number(copy), "1"]]
    for number, (name, tile, _) in enumerate(listed):
        cells = [name, tile]
        for way in ends:
            taken = quartile(times[number, way])
            cells += [report.number(taken), report.number(taken / copy)]
        rows.append(cells)
    return rows


def setting(batch: int, units: int) -> str:
    """What was measured where, in a sentence."""
    return (
        f"{batch} x {units:,}, float32, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"lower quartile of {ROUNDS};\n{machine.described()}"
    )


def write_page(page: Path, batch: int, units: int, rows: list[report.Cells]) -> None:
    """Put the table where the page has a place for it of this machine."""
    text = f"{setting(batch, units)}:\n\n{report.markdown(HEADINGS, rows)}"
    tables = {f"transposes, {machine.maker()}": text}
    page.write_text(report.filled_in(page.read_text(encoding="utf-8"), tables), encoding="utf-8")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transposes", description="Transposes.")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    chosen = parser.parse_args()
    rows = measured(chosen.batch, chosen.units, ROUNDS)
    table = Table(
        title=setting(chosen.batch, chosen.units), caption="milliseconds, and times of a plain copy"
    )
    for position, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if position == 0 else "right")
    for cells in rows:
        table.add_row(*cells)
    Console(width=110).print(table)
    if chosen.docs:
        write_page(PAGE, chosen.batch, chosen.units, rows)


if __name__ == "__main__":
    main()
