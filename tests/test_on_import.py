"""What happens after a module's first import: a watched module is imported as ever, and only its import counts."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from loopdiag.instruments.on_import import on_import

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module that can be imported until the test is over."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written = []

    def module(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        written.append(name)

    yield module
    for name in written:
        sys.modules.pop(name, None)


def test_who_looks_for_a_module_has_not_imported_it(write: Write) -> None:
    # a program that asks whether a library is installed, and imports it later, is watched all the same; what it asks with answers as the module's own loader
    write("looked_for", "value = 1\n")
    seen: list[ModuleType] = []
    on_import("looked_for", seen.append)
    spec = importlib.util.find_spec("looked_for")
    assert spec is not None
    assert spec.loader is not None
    assert spec.loader.get_source("looked_for") == "value = 1\n"  # type: ignore[attr-defined] # of loaders of files
    assert not hasattr(spec.loader, "nothing_has_this")
    assert seen == []
    module = importlib.import_module("looked_for")
    assert seen == [module]
    assert type(module.__loader__).__name__ == "SourceFileLoader"
    importlib.reload(module)
    assert seen == [module]


def test_an_import_that_failed_is_watched_when_it_is_tried_again(write: Write) -> None:
    # the first import raises, and nothing is called; the second one succeeds
    write("tried_twice", "import needed_by_it\n")
    seen: list[ModuleType] = []
    on_import("tried_twice", seen.append)
    with pytest.raises(ModuleNotFoundError, match="needed_by_it"):
        importlib.import_module("tried_twice")
    assert seen == []
    write("needed_by_it", "")
    assert [importlib.import_module("tried_twice")] == seen


def test_a_module_that_is_there_is_not_waited_for() -> None:
    # it is called at once
    seen: list[ModuleType] = []
    on_import("sys", seen.append)
    assert seen == [sys]
