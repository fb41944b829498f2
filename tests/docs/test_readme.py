"""What the README shows is what the project does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from nnspec.compiler.command.main import main

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
RING = "model ring\ninput x[5]\nlayer y[5]\nconnect x -> y : { i -> i + 1 }\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_spec_is_the_example() -> None:
    assert blocks("nnspec") == [(ROOT / "examples" / "graph_mlp.nnspec").read_text()]


def test_the_module_is_the_golden_one() -> None:
    golden = (ROOT / "tests" / "golden" / "modules" / "graph_mlp_torch.py").read_text()
    for block in blocks("python"):
        assert block.rstrip() in golden


@pytest.mark.parametrize("block", blocks("console"), ids=lambda block: block.splitlines()[0][16:])
def test_a_command_prints_what_is_shown(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "ring.nnspec").write_text(RING)
    monkeypatch.chdir(tmp_path)
    command, _, shown = block.partition("\n")
    result = CliRunner().invoke(main, command.removeprefix("$ spec-compile ").split())
    assert [line.rstrip() for line in result.output.splitlines()] == shown.splitlines()


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_option_and_command_of_the_table_exists() -> None:
    shown = set(re.findall(r"(?<!\S|\w)(--[a-z]+)", README))
    helps = "".join(
        CliRunner().invoke(main, [*command, "--help"]).output
        for command in ([], ["build"], ["check"], ["explain"], ["edges"], ["fmt"], ["test"])
    )
    assert not {option for option in shown if option not in helps}
