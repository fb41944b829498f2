"""`[tool.nnspec]` in pyproject.toml, what is built by it, and what is built again when files change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nnspec.compiler.command.main import main

SPEC = "model {name}\nparam n = 4\ninput x[n]\nlayer h[n] : tanh\nconnect x -> h : all\noutput h\n"
WARNING = SPEC + "input unread[3]\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A project with the specs `specs/one.nnspec` and `specs/two.nnspec`, and settings."""
    monkeypatch.chdir(tmp_path)
    specs = tmp_path / "specs"
    specs.mkdir()
    for name in ("one", "two"):
        (specs / f"{name}.nnspec").write_text(SPEC.format(name=name))

    def with_settings(text: str) -> Path:
        (tmp_path / "pyproject.toml").write_text(text)
        from nnspec.compiler.command import reporting

        reporting._settings.cache_clear()
        return tmp_path

    yield with_settings
    from nnspec.compiler.command import reporting

    reporting._settings.cache_clear()


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


def made(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


BOTH = """\
[tool.nnspec]
specs = ["specs/*.nnspec"]
targets = ["numpy"]
output = "made"
"""


def test_the_command_alone_builds_all_and_checks_all(project: Callable[[str], Path]) -> None:
    folder = project(BOTH)
    assert run("--check").exit_code == 1
    first = run()
    assert first.exit_code == 0, first.output
    assert "wrote     made/one_numpy.py" in first.output
    assert made(folder / "made") == {"one_numpy.py", "test_one.py", "two_numpy.py", "test_two.py"}
    assert run("--check").output == ""
    assert run("-q").output == ""
    (folder / "specs" / "two.nnspec").write_text(SPEC.format(name="two").replace("tanh", "relu"))
    stale = run("--check")
    assert stale.exit_code == 1
    assert stale.output == "stale: made/two_numpy.py\nstale: made/test_two.py\n"


def test_settings_of_a_folder_above_hold_and_options_go_before_them(project: Callable[[str], Path]) -> None:
    folder = project(BOTH)
    os.chdir(folder / "specs")
    assert run("one.nnspec", "-t", "torch", "-o", "here").exit_code == 0
    assert made(folder / "specs" / "here") == {"one_torch.py", "test_one.py"}
    assert run("one.nnspec").exit_code == 0
    assert made(folder / "made") == {"one_numpy.py", "test_one.py"}


def test_two_sizes_of_one_spec_have_two_names(project: Callable[[str], Path]) -> None:
    builds = "".join(
        f'[[tool.nnspec.build]]\nspec = "specs/one.nnspec"\nname = "{name}"\nparams = {{ n = {n} }}\n'
        for name, n in (("small", 3), ("wide", 30))
    )
    folder = project(f"{BOTH}{builds}batch = 1\n")
    result = run()
    assert result.exit_code == 0, result.output
    assert {n for n in made(folder / "made") if n.endswith("_numpy.py")} == {
        "small_numpy.py",
        "wide_numpy.py",
        "two_numpy.py",
    }
    wide = (folder / "made" / "wide_numpy.py").read_text()
    assert "made from     one.nnspec, model wide, for batches of 1\n# with params   n = 30\n" in wide
    assert run("--check").exit_code == 0
    assert run("--name", "third").exit_code == 2


def test_builds_of_one_name_in_one_folder_are_refused(project: Callable[[str], Path]) -> None:
    build = '[[tool.nnspec.build]]\nspec = "specs/one.nnspec"\n'
    folder = project(BOTH + build + "params = { n = 3 }\n" + build + "params = { n = 5 }\n")
    result = run()
    assert result.exit_code == 2
    assert "a FILE before it makes `one_numpy.py` too" in result.output
    assert not (folder / "made").exists()


def test_warnings_are_ignored_or_made_errors(project: Callable[[str], Path]) -> None:
    folder = project(BOTH)
    (folder / "specs" / "one.nnspec").write_text(WARNING.format(name="one"))
    result = run("check")
    assert result.exit_code == 0
    (code,) = {d["code"] for d in json.loads(run("check", "--format", "json").output)}
    project(f'{BOTH}ignore = ["{code}"]\n')
    assert run("check").output == ""
    assert run("check", "--format", "json").output == "[]\n"
    project(f'{BOTH}errors = ["{code}"]\n')
    assert run("check").exit_code == 1
    refused = run()
    assert refused.exit_code == 1
    assert f"{code}: errors by the settings of the project" in refused.output
    assert not (folder / "made").exists()


def test_folders_and_standard_input_are_checked(project: Callable[[str], Path]) -> None:
    project("[tool.nnspec]\n")
    assert run("check", "specs").exit_code == 0
    (Path("specs") / "bad.nnspec").write_text("model bad\ninput x[q]\n")
    found = json.loads(run("check", "specs", "--format", "json").output)
    assert [(d["code"], d["file"]) for d in found] == [("E207", "specs/bad.nnspec")]
    piped = run("check", "-", "--format", "json", stdin="model m\ninput x[q]\n")
    assert piped.exit_code == 1
    assert [(d["code"], d["file"]) for d in json.loads(piped.output)] == [("E207", "-")]
    Path("empty").mkdir()
    assert "there is no .nnspec file" in run("check", "empty").output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.nnspec\n", "pyproject.toml: "),
        ('[tool.nnspec]\ntarget = ["torch"]\n', "no setting is called `target`; did you mean `targets`?"),
        ('[tool.nnspec]\ntargets = ["tourch"]\n', "no target is called `tourch`; did you mean `torch`?"),
        ('[tool.nnspec]\ntargets = "torch"\n', "tool.nnspec.targets: it is a list of texts"),
        ("[tool.nnspec]\nbatch = 0\n", "tool.nnspec.batch: it is a whole number from 1"),
        ("[tool.nnspec]\noutput = 3\n", "tool.nnspec.output: it is the name of a folder"),
        ('[tool.nnspec]\nspecs = ["../*.nnspec"]\n', "leads out of the folder of the settings"),
        ('[tool.nnspec]\nignore = ["E101"]\n', "no warning is called `E101`"),
        ("[tool.nnspec]\nparams = { n = 3 }\n", "it is for one spec, and stands below [[tool.nnspec.build]]"),
        ("[[tool.nnspec.build]]\nbatch = 3\n", 'it needs a `spec`, as `spec = "net.nnspec"`'),
        ('[[tool.nnspec.build]]\nspec = "one.nnspec"\n', "there is no file `one.nnspec`"),
        (
            '[[tool.nnspec.build]]\nspec = "specs/one.nnspec"\nparams = { n = "3" }\n',
            "params.n: it is a number",
        ),
        ('[[tool.nnspec.build]]\nspec = "specs/one.nnspec"\nname = "a-b"\n', "it is a name for a model"),
        ("[tool.nnspec]\nbuild = 3\n", "write it as [[tool.nnspec.build]], once for each build"),
        ("[tool]\nnnspec = 3\n", "tool.nnspec: it is a table"),
    ],
)
def test_wrong_settings_are_wrong_usage(project: Callable[[str], Path], text: str, message: str) -> None:
    project(text)
    result = run("--check")
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_without_settings_a_file_is_asked_for(project: Callable[[str], Path]) -> None:
    project("[tool.other]\n")
    assert run().exit_code == 2
    assert "Usage: spec-compile FILE..." in run().output
    assert "which FILE? no pyproject.toml here or above has a table tool.nnspec" in run("--check").output


def test_what_changes_is_built_again(project: Callable[[str], Path]) -> None:
    folder = project(BOTH)
    module, spec = folder / "made" / "one_numpy.py", folder / "specs" / "one.nnspec"

    def awaited(wanted: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not wanted():
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.05)

    with subprocess.Popen(
        [sys.executable, "-m", "nnspec.compiler", "--watch"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            awaited(module.exists)
            spec.write_text("model one\n?")  # is told, and waited for to be right again
            time.sleep(0.5)
            spec.write_text(SPEC.format(name="one").replace("tanh", "relu"))
            awaited(lambda: "relu" in module.read_text())
            assert "tanh" in (folder / "made" / "two_numpy.py").read_text()
        finally:
            process.terminate()
