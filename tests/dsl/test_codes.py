"""The examples in the explanations of the syntax errors are what they say."""

import re
import textwrap

import pytest

from nnspec.dsl import codes
from nnspec.dsl.findings import Code

SYNTAX = [code for code in vars(codes).values() if isinstance(code, Code) and code.code.startswith("E1")]


def block(code, title):
    (found,) = re.findall(rf"^{title}:\n((?:    .*\n|\n)+)", code.explanation, re.MULTILINE)
    return textwrap.dedent(found)


@pytest.mark.parametrize("code", SYNTAX, ids=lambda code: code.code)
def test_examples(code, mistakes):
    assert {found.code for found in mistakes(block(code, "Wrong"))} == {code}
    assert not mistakes(block(code, "Right"))
