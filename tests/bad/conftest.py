"""`pytest tests/bad --update-bad` accepts what the compiler says now."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-bad", action="store_true", help="accept what the compiler says now")
