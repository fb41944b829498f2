"""Each file under tests/identity formats to itself."""

from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent.parent / "identity").glob("*.nnspec"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_formats_to_itself(path, formatted):
    text = path.read_text(encoding="utf-8")
    assert formatted(text) == text


def test_every_statement_has_a_fixture():
    words = {word for path in FILES for word in path.read_text(encoding="utf-8").split()}
    assert words >= {
        "model",
        "param",
        "axis",
        "input",
        "target",
        "layer",
        "edges",
        "connect",
        "output",
        "loss",
        "for",
    }
