"""The import layers and the house rules, held by the syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "loopdiag"
SCRIPTS = PACKAGE / "selftest" / "programs"  # of users, which nothing imports: data
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if SCRIPTS not in path.parents)

#: package → what of loopdiag it may import; a package may always import itself
LAYERS: dict[str, set[str]] = {
    "model": set(),
    "instruments": set(),
    "errors": set(),
    "registry": {"errors"},
    "lab": {"model", "errors", "registry", "instruments"},
    "analysis": {"model", "errors", "registry"},
    "causes": {"model", "errors", "registry", "analysis"},
    "report": {"model", "errors", "registry"},
    "gate": {"model", "errors"},
    "progress": {"model"},
    "parts": {"lab", "report", "causes", "registry", "instruments"},
    "verify": {"model", "errors", "lab", "analysis", "causes"},
    "compare": {"model", "errors", "analysis", "report"},
    "testing": {"model", "errors", "report", "pipeline", "asked"},
    "testing_runner": set(),
    "pytest_plugin": {"model", "testing"},
    "options": {"errors"},
    "pipeline": {"model", "errors", "lab", "analysis", "report", "causes", "verify", "compare"},
    "selftest": {"model", "errors", "lab", "analysis", "causes", "verify", "pipeline"},
    "asked": {"model", "lab", "pipeline"},
    "cli": {"model", "errors", "options", "asked", "gate", "parts", "pipeline", "progress", "lab", "report", "selftest", "compare"},
    "__init__": {"pipeline", "lab", "model"},
    "__main__": {"cli"},
}

#: third-party package → the only places that may import it
CONFINED = {
    "aiohttp": ("lab/clients/aiohttp.py", "instruments/aiohttp_ends.py"),
    "httpx": ("lab/clients/httpx.py", "instruments/httpx_client.py"),
    "httpcore": ("instruments/httpcore_pool.py", "instruments/httpcore_wire.py"),
    "httpx2": ("lab/clients/httpx2.py", "instruments/httpx2_client.py"),
    "httpcore2": ("instruments/httpcore2_pool.py",),
    "certifi": ("lab/clients/httpx_get.py",),
    "tornado": ("lab/clients/tornado.py",),
    "trio": ("lab/loops/trio.py",),
    "twisted": ("lab/clients/twisted.py", "lab/loops/twisted.py"),
    "pycurl": ("lab/clients/curl.py", "lab/loops/curl.py"),
    "h11": ("instruments/httpcore_wire.py",),
    "h2": ("instruments/httpcore_h2.py",),
    "anyio": ("instruments/httpcore_wire.py",),
    "uvloop": ("lab/loops/uvloop.py", "lab/servers/", "instruments/uvloop_loop.py"),
    "numpy": ("analysis/", "lab/store.py", "lab/columns.py", "lab/servers/", "report/"),
    "matplotlib": ("report/",),
    "granian": ("lab/servers/",),
    "httptools": ("lab/servers/", "lab/clients/protocol.py"),
    "trustme": ("lab/servers/",),
    "rich": ("report/", "progress.py"),
    "pytest": ("pytest_plugin.py",),
}

#: imported inside the functions that need them, so that `loopdiag --help` stays quick
LAZY = {"numpy", "matplotlib", "aiohttp", "httpx", "httpx2", "uvloop", "rich", "granian", "trustme", "tornado", "trio", "twisted", "pycurl"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether it does so when it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "loopdiag":
                yield from ((f"loopdiag.{alias.name}", id(node) in top) for alias in node.names)
            else:
                yield node.module, id(node) in top


def layer(path: Path) -> str:
    """The layer that a module belongs to: its folder, or its own name at the top."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    # a module imports of loopdiag only what the table lets its layer import
    mine = layer(path)
    assert mine in LAYERS, f"{mine} stands in no layer: add it to LAYERS on purpose"
    for name, _ in imports(path):
        if name == "loopdiag" or not name.startswith("loopdiag."):
            continue
        other = name.split(".")[1]
        assert other == mine or other in LAYERS[mine], f"{path.relative_to(PACKAGE)} ({mine}) imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_library_has_its_places(path: Path) -> None:
    # a third-party library is imported only where its part of the house is
    here = path.relative_to(PACKAGE).as_posix()
    for name, _ in imports(path):
        places = CONFINED.get(name.split(".")[0])
        assert places is None or here.startswith(places), f"{here} imports {name}; only {places} may"


def test_instruments_need_only_the_standard_library() -> None:
    # what is injected into a foreign process imports nothing but the standard library and the library that it watches
    import sys

    watched = {"aiohttp", "httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2", "anyio", "uvloop", "urllib3"}
    for path in (PACKAGE / "instruments").rglob("*.py"):
        for name, at_import in imports(path):
            first = name.split(".")[0]
            assert first in sys.stdlib_module_names or (first in watched and not at_import), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    # print and exit stand in cli.py alone
    if path.name in {"cli.py", "__main__.py"}:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "exit", "sys.exit", "os._exit"}, f"{path.relative_to(PACKAGE)}:{node.lineno} calls {called}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_clocks_stand_in_the_lab_and_the_instruments(path: Path) -> None:
    # who analyses or prints reads no clock
    if layer(path) in {"lab", "instruments", "cli"}:
        return
    assert not any(name.split(".")[0] == "time" for name, _ in imports(path)), f"{path.relative_to(PACKAGE)} imports time"


def test_the_command_line_imports_nothing_heavy() -> None:
    # what `loopdiag --help` imports is the standard library and our errors
    for name, at_import in imports(PACKAGE / "cli.py"):
        if at_import:
            assert name.split(".")[0] not in LAZY | {"msgspec"}


def test_modules_stay_small() -> None:
    # no module is longer than 300 lines, no function longer than 50
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                # an instrument's installer holds the methods that it patches
                assert length <= 50 or "instruments" in path.parts, f"{path.name}:{node.lineno} {node.name} has {length} lines"
