"""What the command prints: nothing that acts on a terminal, data to the byte, and on streams of any kind."""

from __future__ import annotations

import ast
import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from nnspec.compiler.command import main as cli
from nnspec.compiler.command.console import open_streams
from nnspec.dsl.printing import printable

COMMAND = [sys.executable, "-m", "nnspec.compiler.command.main"]
# A colour in 7 and in 8 bits, a cleared line, a bell, a title of the window, and text from right to left.
HOSTILE = "\x1b[31mred\x9b2K\a\x1b]0;title\x07\x7f\u202eback"
NAMES = [
    f"unread{HOSTILE}",
    f"a{HOSTILE}",
    "plain",
    'quo"ted',
    "with,comma",
    "two\nlines",
    "δ-secretase",
    "漢",
]
SPEC = """model named
axis gene = names("genes.csv", column = "gene")
input x[gene]
target t[gene]
layer y[gene]
connect x -> y : { i -> i : i >= 1 }
loss mse(y, t)
"""


def harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict")

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


def on_terminal(*arguments: str, encoding: str = "utf-8", colours: bool = False) -> tuple[int, str]:
    """The exit code and everything that is shown on a terminal."""
    screen = Terminal(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        patch.setattr(sys, "stderr", screen)
        patch.setenv("NO_COLOR", "" if colours else "1")
        patch.setenv("TERM", "dumb")
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments), prog_name="spec-compile")
    return int(ended.value.code or 0), screen.shown()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with Path("genes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["gene"], *([name] for name in NAMES)])
    Path("named.nnspec").write_text(SPEC, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "text", [HOSTILE, "a\0b", "\r\n\t\v", "\u2066\u200f\u200b\ufeff", "\udcff", "\U000e0001"]
)
def test_escapes_say_which_character_it_was(text: str) -> None:
    assert harmless(printable(text))
    assert "\n" not in printable(text)
    assert printable(text).encode("ascii", "backslashreplace").decode("unicode_escape") == text
    assert printable("plain, δ 漢 é\\") == "plain, δ 漢 é\\"
    assert printable("a\tb\n", keep="\t\n") == "a\tb\n"


def test_the_command_prints_by_the_functions_that_escape() -> None:
    """Of `click` and `print` nothing is known to escape what it is given."""
    tree = ast.parse(Path(cli.__file__).read_text(encoding="utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}


# ------------------------------------------------------------------------------------------------- hostile


ODD = f"odd{HOSTILE}"


def hostile_calls() -> dict[str, list[str]]:
    """Calls that print something of a stranger's, by what that is."""
    return {
        "names of units": ["edges", "named.nnspec", "x_y", "--summary"],
        "a name in a message": ["check", "unknown.nnspec"],
        "one line each": ["check", "unknown.nnspec", "--format", "concise"],
        "as data": ["check", "unknown.nnspec", "--format", "json"],
        "a source line": ["check", "control.nnspec"],
        "a source line of a build": ["control.nnspec"],
        "what fmt changes": ["fmt", "--diff", "wide.nnspec"],
        "what a build changes": ["named.nnspec", "-o", "out", "-t", "numpy", "--diff"],
        "the name of a spec": ["check", f"{ODD}.nnspec"],
        "the name of a spec in a build": [f"{ODD}.nnspec"],
        "the name of a folder": ["named.nnspec", "-t", "numpy", "-o", ODD],
        "the name of a folder that is checked": ["named.nnspec", "-t", "numpy", "-o", ODD, "--check"],
        "the name of an edited file": ["named.nnspec", "-t", "numpy", "-o", f"edited{ODD}"],
        "the name of a file of edges": ["edges", "named.nnspec", "x_y", "-o", f"{ODD}.csv"],
        "the wrong kind of file": ["edges", "named.nnspec", "x_y", "-o", f"{ODD}.txt"],
        "a connection": ["edges", "named.nnspec", ODD],
        "a command": [ODD],
        "an option": [f"--{ODD}"],
        "a code": ["--explain", ODD],
        "a param": ["check", "named.nnspec", "-D", f"{ODD}=1"],
        "the value of a param": ["check", "named.nnspec", "-D", f"n={ODD}"],
        "a target": ["named.nnspec", "-t", ODD],
        "a file that is not there": ["check", f"absent{ODD}.nnspec"],
        "a file too much": ["edges", "named.nnspec", "x_y", ODD],
        "a folder that is not there": ["edges", "named.nnspec", "x_y", "-o", f"{ODD}/edges.csv"],
        "a file that is laid out": ["fmt", f"wide{ODD}.nnspec"],
        "a file that would be laid out": ["fmt", "--check", f"wide{ODD}.nnspec"],
    }


@pytest.mark.parametrize("what", hostile_calls())
def test_nothing_of_a_stranger_acts_on_a_terminal(what: str, folder: Path) -> None:
    wide = SPEC.replace("model named", f"model   named  # {HOSTILE}")
    for name, text in {
        "unknown.nnspec": SPEC.replace("{ i -> i : i >= 1 }", 'load("pairs.csv")'),
        "control.nnspec": SPEC.replace("layer y[gene]", f"layer y[gene] {HOSTILE}"),
        "wide.nnspec": wide,
        f"wide{ODD}.nnspec": wide,
        f"{ODD}.nnspec": SPEC.replace("y[gene]", "y[gen]"),
    }.items():
        Path(name).write_text(text, encoding="utf-8")
    Path("pairs.csv").write_text(f"source,target\nunknown{HOSTILE},plain\n", encoding="utf-8")
    Path(f"edited{ODD}").mkdir()
    Path(f"edited{ODD}", "named_numpy.py").write_text("mine = 1\n")
    arguments = hostile_calls()[what]
    result = CliRunner().invoke(cli.main, arguments)
    assert harmless(result.output), result.output
    assert result.exit_code in (0, 1, 2)
    if what not in ("what a build changes", "the name of a spec in a build"):
        assert (r"\u001b" if what == "as data" else r"\x1b") in result.output
    code, shown = on_terminal(*arguments)
    assert harmless(shown), shown
    assert code == result.exit_code or what.startswith("a file that is laid out")


@pytest.mark.parametrize("arguments", [["fmt", "--diff"], ["check"], ["check", "--format", "concise"], []])
def test_colours_are_the_only_characters_that_act(arguments: list[str], folder: Path) -> None:
    text = SPEC.replace("layer y[gene]", f"layer   y[gene]  # {HOSTILE}")
    Path("spec.nnspec").write_text(
        text if "fmt" in arguments else text + "loss mse(y, tt)\n", encoding="utf-8"
    )
    code, plain = on_terminal(*arguments, "spec.nnspec")
    coloured_code, coloured = on_terminal(*arguments, "spec.nnspec", colours=True)
    assert code == coloured_code == 1
    assert coloured != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert harmless(plain)


# ---------------------------------------------------------------------------------------------------- data


def test_piped_edges_are_those_that_are_written_to_the_byte(folder: Path) -> None:
    assert CliRunner().invoke(cli.main, ["edges", "named.nnspec", "x_y", "-o", "edges.csv"]).exit_code == 0
    written = Path("edges.csv").read_bytes()
    rows = list(csv.reader(io.StringIO(written.decode(), newline="")))
    assert rows == [["source", "target"], *([name, name] for name in NAMES[1:])]
    assert CliRunner().invoke(cli.main, ["edges", "named.nnspec", "x_y"]).stdout_bytes == written
    assert (
        CliRunner(charset="cp437").invoke(cli.main, ["edges", "named.nnspec", "x_y"]).stdout_bytes == written
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    piped = subprocess.run([*COMMAND, "edges", "named.nnspec", "x_y"], env=environment, capture_output=True)
    assert (piped.returncode, piped.stdout) == (0, written)
    assert rb"unread\x1b[31mred" in piped.stderr
    code, shown = on_terminal("edges", "named.nnspec", "x_y")
    assert code == 0
    assert harmless(shown)
    assert "δ-secretase,δ-secretase\n" in shown


def test_printed_modules_are_those_that_are_written(folder: Path) -> None:
    files = ["named_numpy.py", "test_named.py"]
    assert CliRunner().invoke(cli.main, ["named.nnspec", "-t", "numpy"]).exit_code == 0
    printed = CliRunner(charset="ascii").invoke(cli.main, ["named.nnspec", "-t", "numpy", "--stdout"])
    assert printed.stdout_bytes == b"".join(Path(name).read_bytes() for name in files)
    assert harmless(on_terminal("named.nnspec", "-t", "numpy", "--stdout")[1])


SEARCHED = "model named\ninput x[30]\nlayer y[30]\nconnect x -> y : { i -> j : (i * j) % 30 == 1 }\n"


@pytest.mark.parametrize("command", ["explain", "edges", "check", "build"])
def test_a_bar_of_progress_is_in_nobodys_way(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output may be a file while the bar is on the terminal; where both are one, the bar goes."""
    monkeypatch.setattr("nnspec.compiler.command.progress.PATIENCE", 0)
    monkeypatch.setenv("TERM", "xterm")
    Path("named.nnspec").write_text(SEARCHED)
    arguments = {
        "build": ["named.nnspec", "-t", "numpy", "-o", "out"],
        "edges": ["edges", "named.nnspec", "x_y"],
    }
    call = arguments.get(command, [command, "named.nnspec"])
    plain = CliRunner().invoke(cli.main, call).stdout
    assert plain != "" or command == "check"
    screen, file = Terminal(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", file)
    with pytest.raises(SystemExit):
        cli.main(call)
    file.flush()
    assert file.buffer.getvalue().decode().replace("unchanged", "wrote    ") == plain
    assert "pairs tried" in screen.shown()
    assert "%" not in screen.shown().rpartition("\x1b[2K")[2]


# ------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437", "ascii", "utf-8"])
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_a_character_that_a_stream_lacks_is_escaped(encoding: str, terminal: bool, folder: Path) -> None:
    Path("δ漢.nnspec").write_text(SPEC.replace("y[gene]", "y[gen]"), encoding="utf-8")
    Path("wide.nnspec").write_text(SPEC.replace("model named", "model   named  # δ漢"), encoding="utf-8")
    Path("δ漢").mkdir()
    lacks = "δ漢".encode(encoding, "backslashreplace").decode(encoding)
    shows_name = {
        "check": ["check", "δ漢.nnspec"],
        "build": ["named.nnspec", "-t", "numpy", "-o", "δ漢"],
        "fmt": ["fmt", "--diff", "wide.nnspec"],
        "usage": ["check", "δ漢"],
        "unknown": ["edges", "named.nnspec", "δ漢"],
        "param": ["check", "named.nnspec", "-D", "δ漢=1"],
    }
    calls = {
        **shows_name,
        "summary": ["edges", "named.nnspec", "x_y", "--summary"],
        "edges": ["edges", "named.nnspec", "x_y"],
        "explain": ["explain", "named.nnspec"],
        "code": ["--explain", "E331"],
        "emit": ["named.nnspec", "--emit", "tree"],
        "code with an ellipsis": ["--explain", "E204"],
    }
    for what, arguments in calls.items():
        if terminal:
            code, text = on_terminal(*arguments, encoding=encoding)
        else:
            result = CliRunner(charset=encoding).invoke(cli.main, arguments)
            code = result.exit_code
            assert not isinstance(result.exception, UnicodeError), what
            text = result.output_bytes.decode("utf-8" if what in ("edges", "emit") else encoding)
        assert code in (0, 1, 2), what
        assert what not in shows_name or lacks in text, text


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_build_is_done_whatever_streams_are_closed(closed: str, folder: Path) -> None:
    def call(arguments: str) -> int:
        return subprocess.run(f"exec {' '.join(COMMAND)} {arguments} {closed}", shell=True).returncode

    assert call("named.nnspec -t numpy -o out") == 0
    built = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert CliRunner().invoke(cli.main, ["named.nnspec", "-t", "numpy", "-o", "open"]).exit_code == 0
    assert built == {path.name: path.read_bytes() for path in Path("open").iterdir()}
    Path("named.nnspec").write_text(SPEC.replace("y[gene]", "y[gen]"), encoding="utf-8")
    assert call("named.nnspec -t numpy -o out") == 1
    assert call("named.nnspec --nonsense") == 2
    assert built == {path.name: path.read_bytes() for path in Path("out").iterdir()}


def test_a_closed_stream_gets_no_other_file(tmp_path: Path) -> None:
    """Without its number taken, the next file that is opened has it, and is written messages."""
    code = (
        "import os, sys\n"
        "from nnspec.compiler.command.console import open_streams\n"
        "open_streams()\n"
        "assert min(os.dup(0), os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)) > 2\n"
        "print('lost', file=sys.stderr)\n"
        "os.write(2, b'lost')\n"
    )
    file = tmp_path / "file"
    command = f'exec {sys.executable} -c "$CODE" {file} <&- 2>&-'
    assert subprocess.run(command, shell=True, env={**os.environ, "CODE": code}).returncode == 0
    assert file.read_bytes() == b""


def test_open_streams_are_left_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal("ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    open_streams()
    assert sys.stdout is screen
    print("δ")
    assert screen.shown() == "\\u03b4\n"


def test_a_reader_that_leaves_ends_the_command_quietly(tmp_path: Path) -> None:
    spec = tmp_path / "wide.nnspec"
    spec.write_text("model wide\ninput x[300000]\nlayer y[300000]\nconnect x -> y : one_to_one\n")
    command = [*COMMAND, "edges", str(spec), "x_y"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"source,target\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


# --------------------------------------------------------------------------------------------------- names


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there, names of files are Unicode")
def test_a_name_that_is_not_utf_8_is_no_trouble(folder: Path) -> None:
    odd = os.fsdecode(b"odd\xff")
    Path(f"{odd}.nnspec").write_text(SPEC.replace("model named", "model   named"), encoding="utf-8")
    Path(odd).mkdir()
    calls = {
        ("fmt", "--diff", f"{odd}.nnspec"): 1,
        ("fmt", f"{odd}.nnspec"): 0,
        ("check", f"{odd}.nnspec"): 0,
        ("check", f"{odd}.nnspec", "--format", "json"): 0,
        ("explain", f"{odd}.nnspec"): 0,
        ("edges", f"{odd}.nnspec", "x_y", "-o", f"{odd}.npz"): 0,
        (f"{odd}.nnspec", "-t", "numpy", "-o", odd): 0,
        (f"{odd}.nnspec", "-t", "numpy", "-o", odd, "--check"): 0,
        ("check", f"absent{odd}.nnspec"): 2,
    }
    for arguments, code in calls.items():
        result = CliRunner().invoke(cli.main, list(arguments))
        assert result.exit_code == code, (arguments, result.output, result.exception)
        assert harmless(result.output)
    with np.load(f"{odd}.npz") as arrays:
        assert arrays["source"].tolist() == [*range(1, len(NAMES))]
