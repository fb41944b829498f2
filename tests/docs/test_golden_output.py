"""The hooks, and what `docs/golden-output.md` says of them and of git, on the page's own project."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nnspec.compiler.version import VERSION

from ..processes import commands

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "golden-output.md").read_text(encoding="utf-8")
BUILD = "spec-compile specs/net.nnspec -t torch -o generated"


def block(fence: str) -> str:
    found = re.search(rf"^```{re.escape(fence)}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found, fence
    return found[1]


def read_hooks(text: str, indent: str = "") -> dict[str, dict[str, str]]:
    """Hooks by id, from a list of mappings with one plain value a line: the YAML that needs no library."""
    hooks: list[dict[str, str]] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = re.fullmatch(rf"{indent}(- |  )([a-z_]+): (\S.*)", line)
        assert entry, f"not `key: value`: {line}"
        assert not re.search(r": | #|^['\"&*!|>%@`]", entry[3]), f"not a plain value: {line}"
        if entry[1] == "- ":
            hooks.append({})
        hooks[-1][entry[2]] = entry[3]
    return {hook["id"]: hook for hook in hooks}


HOOKS = read_hooks((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
CONFIG = block("yaml .pre-commit-config.yaml")
CONFIGURED = read_hooks(CONFIG.partition("    hooks:\n")[2], "      ")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of the page, built."""
    path = [commands(), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    monkeypatch.chdir(tmp_path)
    Path("specs").mkdir()
    for fence in ("csv specs/readout.csv", "nnspec specs/net.nnspec", "text .gitattributes"):
        Path(fence.split()[1]).write_text(block(fence), encoding="utf-8")
    assert call(BUILD).returncode == 0
    return tmp_path


def call(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*shlex.split(command), *arguments], capture_output=True, text=True, check=False)


def run_hook(hook: str, *files: str) -> subprocess.CompletedProcess[str]:
    """A hook as pre-commit calls it: entry, then `args`, then those changed files that `files` matches."""
    args = CONFIGURED[hook].get("args", "[]").strip("[]").split(", ")
    passed = HOOKS[hook].get("pass_filenames") != "false"
    matching = [file for file in files if re.search(HOOKS[hook].get("files", ""), file)] if passed else []
    return call(HOOKS[hook]["entry"], *filter(None, args), *matching)


def edit(path: str, before: str, after: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert text.count(before) == 1
    Path(path).write_text(text.replace(before, after), encoding="utf-8")


def test_hooks_have_what_pre_commit_asks_for() -> None:
    assert set(HOOKS) == set(CONFIGURED)
    for hook in HOOKS.values():
        assert {"id", "name", "entry", "language"} <= hook.keys()
        assert hook["language"] == "python"
    assert HOOKS["spec-compile-check"]["always_run"] == "true"
    assert f"    rev: v{VERSION}\n" in CONFIG


@pytest.mark.usefixtures("project")
def test_the_check_hook_fails_for_all_that_is_not_as_built() -> None:
    assert run_hook("spec-compile-check").returncode == 0
    changes = [
        ("specs/net.nnspec", "<= 1", "<= 2", "stale: generated/net_torch.py"),
        ("specs/readout.csv", "2,0", "2,1", "stale: generated/net.npz"),
        ("generated/net_torch.py", "=nn.Tanh()", "=nn.ReLU()", "edited by hand: generated/"),
    ]
    for path, before, after, message in changes:
        edit(path, before, after)
        found = run_hook("spec-compile-check", path)
        assert found.returncode == 1, path
        assert message in found.stdout
        edit(path, after, before)
        assert run_hook("spec-compile-check", path).returncode == 0
    for name in ("net.npz", "test_net.py"):
        Path("generated", name).rename(name)
        assert f"missing: generated/{name}" in run_hook("spec-compile-check").stdout
        Path(name).rename(f"generated/{name}")
    with Path("generated/net.npz").open("ab") as file:
        file.write(b"more")
    assert run_hook("spec-compile-check").stdout == "not written by spec-compile: generated/net.npz\n"


@pytest.mark.usefixtures("project")
def test_the_fmt_hook_lays_out_changed_specs_alone() -> None:
    shutil.copy("specs/net.nnspec", "specs/other.nnspec")
    changed = ("specs/net.nnspec", "specs/other.nnspec", "specs/readout.csv", "generated/net_torch.py")
    assert run_hook("spec-compile-fmt", *changed).stdout == ""
    edit("specs/other.nnspec", "input x[6]", "input   x[6]")
    assert run_hook("spec-compile-fmt", *changed).stdout == "formatted specs/other.nnspec\n"
    assert Path("specs/other.nnspec").read_text() == Path("specs/net.nnspec").read_text()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@pytest.mark.usefixtures("project")
def test_generated_files_are_built_after_a_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "someone")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "someone@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def commit() -> None:
        assert call(BUILD).returncode == 0
        assert call("git add -A").returncode == 0
        assert call("git commit -q -m change").returncode == 0

    assert call("git init -q").returncode == 0
    commit()
    assert call("git checkout -q -b other").returncode == 0
    edit("specs/net.nnspec", "tanh", "gelu")
    commit()
    assert call("git checkout -q -").returncode == 0
    edit("specs/net.nnspec", "<= 1", "<= 2")
    commit()
    mine = Path("generated/net_torch.py").read_bytes()
    merged = call("git merge other")
    assert merged.returncode == 1
    assert "generated/net_torch.py" in merged.stdout
    assert "specs" not in call("git diff --name-only --diff-filter=U").stdout
    assert Path("generated/net_torch.py").read_bytes() == mine
    assert "stale: generated/net_torch.py" in run_hook("spec-compile-check").stdout
    commit()
    text = Path("generated/net_torch.py").read_text()
    assert "nn.GELU(" in text
    assert "24 edges" in text
    assert run_hook("spec-compile-check").returncode == 0
