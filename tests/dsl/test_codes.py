"""The examples in the explanations of the syntax errors are what they say."""

import pytest

from nnspec.compiler.command.explanations import explanation
from nnspec.dsl import codes
from nnspec.dsl.findings import Code

SYNTAX = [code for code in vars(codes).values() if isinstance(code, Code) and code.code.startswith("E1")]


@pytest.mark.parametrize("code", SYNTAX, ids=lambda code: code.code)
def test_examples(code, mistakes):
    assert {found.code for found in mistakes(explanation(code.code).wrong)} == {code}
    assert not mistakes(explanation(code.code).right)
