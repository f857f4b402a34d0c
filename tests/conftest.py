"""Options of the test run."""

from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--bless``."""
    parser.addoption("--bless", action="store_true", help="write what is generated (schemas, golden files) instead of comparing it")


@pytest.fixture
def generated(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Hold a file in the tree to what generates it: ``generated(path, text)`` fails where they differ; with ``--bless`` it writes."""

    def hold(path: Path, text: str) -> None:
        if request.config.getoption("--bless"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date; make bless renews it"

    return hold
