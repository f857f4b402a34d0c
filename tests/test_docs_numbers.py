"""docs/why-linear.md and the committed example: their numbers are those of runs, and nothing else."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import documents
import pytest
from msgspec.structs import replace

from loopdiag.errors import InputError
from loopdiag.lab.scenario_file import load_scenario
from loopdiag.lab.store import Store
from loopdiag.model.document import Document
from loopdiag.pipeline import rendered, shared

PROJECT = Path(__file__).parent.parent
DOCS = PROJECT / "docs"
sys.path.insert(0, str(DOCS))

import example  # noqa: E402 - scripts of the docs, found by the line above
import fill  # noqa: E402
import runs  # noqa: E402

EXAMPLE = PROJECT / "reports" / "example"
UNITS = r"(?:ms|µs|s|ns|%|times|MB|kB|KiB|MiB)"

ARM: dict[str, Any] = {
    "client": "httpx",
    "loop": "asyncio",
    "versions": {},
    "law": "a + b*N^2",
    "slope": [10.0, 9.0, 11.0],
    "exponent": [1.8, 1.6, 2.0],
    "total_s": {"50": 0.5},
    "cpu": 8.0,
    "connections": 1.0,
    "accounts": {"loop/tls-handshake": [6.0, 5.0, 7.0], "client-pool": [3.9, 3.0, 5.0], "unexplained": [0.1, 0.0, 0.2]},
    "causes": [
        {
            "cause": "pool_scan", "title": "The pool looks at everything", "verdict": "CONFIRMED", "share": 0.4, "changes": ["pool.limit = 20"],
            "base": [10.0, 9.0, 11.0], "predicted": [5.0, 4.0, 6.0], "effect": [4.0, 3.5, 4.5],
        }
    ],
    "prescription": {"changes": ["pool.limit = 20"], "slope": [2.0, 1.8, 2.2], "speedup": [5.0, 4.0, 6.0]},
}  # fmt: skip
GO = {**ARM, "client": "go", "loop": "own", "slope": [1.0, 0.9, 1.1], "accounts": {}, "causes": [], "prescription": None, "cpu": None}
MACHINE = {"cpu": "Example CPU", "cores": 2, "system": "Linux", "python": "CPython 3.11", "client_cores": [0], "server_cores": [1]}
RUN = {
    "scenario": "blog", "command": "loopdiag run scenarios/blog.toml", "service": "25 ± 5 ms", "started": "2026-01-02T03:04:05Z", "loopdiag": "0.1.0",
    "machine": MACHINE, "versions": {"httpx": "0.28.1"}, "arms": {"httpx/asyncio": ARM, "go/own": GO},
    "ladders": [{"loop": "asyncio", "rungs": [
        {"arm": "epoll/own", "slope": [1.0, 0.9, 1.1], "step": [1.0, 0.9, 1.1], "share": 0.1},
        {"arm": "httpx/asyncio", "slope": [10.0, 9.0, 11.0], "step": [9.0, 8.0, 10.0], "share": 0.9},
    ]}],
}  # fmt: skip
FILES = {
    "blog": RUN,
    "ca-bundle": {"certificates": 140, "with_bundle_ms": [20.0, 19.0, 21.0]},
    "poller": {
        "ns_per_1000_idle": {"epoll": {"value": 1.0, "low": -4.0, "high": 6.0}, "poll": {"value": 40000.0, "low": 38000.0, "high": 42000.0}}
    },
}


def test_the_text_is_what_the_runs_say() -> None:
    # every number of docs/why-linear.md is that of the committed files, and every claim that the template states holds
    template = fill.TEMPLATE.read_text(encoding="utf-8")
    assert fill.TEXT.read_text(encoding="utf-8") == fill.filled(template, fill.committed())


def test_the_template_has_no_number_of_its_own() -> None:
    # whatever has a unit of measurement comes from a run
    template = fill.PLACE.sub("", fill.TEMPLATE.read_text(encoding="utf-8"))
    assert re.findall(rf"\d[\d.,]*\s?{UNITS}\b", template) == []


def test_each_file_says_how_it_was_made() -> None:
    # a command stands in each that is of a run, and names the scenario of the file's own name; the others are benchmarks' that there are
    for name, found in fill.committed().items():
        assert name in fill.BENCHES or found["command"].startswith(f"loopdiag run scenarios/{name}.toml")
        assert example.telling(json.dumps(found), "") == []


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("blog httpx/asyncio slope", "10.0 ±1.0 ms/request"),
        ("blog httpx/asyncio exponent", "1.8 ±0.2"),
        ("blog httpx/asyncio growth", "faster than N (as N to the power of 1.8 ±0.2)"),
        ("blog httpx/asyncio law", "`a + b*N^2`"),
        ("blog httpx/asyncio total 50", "500 ms"),
        ("blog httpx/asyncio cpu", "8.00 ms/request"),
        ("blog httpx/asyncio connections", "1.00"),
        ("blog httpx/asyncio account tls-handshake", "6.0 ±1.0 ms/request"),
        ("blog httpx/asyncio less go/own", "9.0 ±1.0 ms/request"),
        ("blog httpx/asyncio ratio go/own", "10.0 ±1.4 times"),
        ("blog go/own ratio httpx/asyncio prescribed", "0.50 ±0.07 times"),
        ("blog httpx/asyncio cause pool_scan", "confirmed: 10.0 ±1.0 → 4.0 ±0.5 ms/request"),
        ("blog httpx/asyncio prescribed", "2.0 ±0.2 ms/request"),
        ("blog httpx/asyncio changes", "`pool.limit = 20`"),
        ("blog command", "`loopdiag run scenarios/blog.toml`"),
        ("blog service", "25 ± 5 ms"),
        ("blog started", "2026-01-02"),
        ("blog machine", "Example CPU, 2 cores, client on 1 core; Linux; CPython 3.11"),
        ("blog figure", "![blog: what each layer adds](figures/blog.png)"),
        ("ca-bundle certificates", "140"),
        ("ca-bundle with_bundle_ms", "20.0 ±1.0 ms"),
        ("ca-bundle command", "`python benchmarks/ca_bundle.py --json`"),
        ("poller growth epoll", "1 ±5 ns"),
        ("poller growth poll", "40 ±2 µs"),
        ("holds poller epoll growth < 100", ""),
        ("post golang_2021-12-06 slope", "0.0986 ms/request"),
        ("holds blog httpx/asyncio exponent.low > 1", ""),
        ("holds blog httpx/asyncio prescribed < slope", ""),
        ("holds blog httpx/asyncio less.low go/own > 0", ""),
        ("holds blog httpx/asyncio share tls-handshake > 0.5", ""),
    ],
)
def test_a_place_is_filled(place: str, said: str) -> None:
    # each word of the template's language, with its unit and interval
    assert fill.filled(f"x {{{{{place}}}}}", FILES) == f"x {said}".rstrip() + "\n"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("blog httpx/trio slope", "blog has no arm httpx/trio; it has httpx/asyncio, go/own"),
        ("blog go/own prescribed", "has no prescription"),
        ("blog go/own cpu", "cpu was not measured"),
        ("blog httpx/asyncio total 100", "was not measured at N = 100; it was at 50"),
        ("blog httpx/asyncio account dns", "has no account dns"),
        ("blog httpx/asyncio cause dns_resolution", "has no cause dns_resolution; it has pool_scan"),
        ("blog httpx/asyncio nonsense", "KeyError"),
        ("blog nonsense", "KeyError"),
        ("blog httpx/asyncio ratio", "ValueError"),
        ("poller growth select", "KeyError"),
        ("holds poller epoll growth > 100", "is not so any more (growth is 1.0)"),
        ("holds blog httpx/asyncio exponent > 1.9", "is not so any more (exponent is 1.8)"),
        ("holds blog httpx/asyncio slope < prescribed", "is not so any more (slope is 10.0)"),
    ],
)
def test_what_a_run_does_not_carry_is_refused(place: str, why: str) -> None:
    # a missing number or a claim that is no longer true is one fault line each, and no text
    with pytest.raises(InputError) as fault:
        fill.filled(f"a {{{{blog httpx/asyncio slope}}}}\n\n{{{{{place}}}}}\n\n{{{{blog httpx/trio law}}}}", FILES)
    assert len(fault.value.faults) == 2
    assert fault.value.faults[0].startswith(f"why-linear.in.md: {{{{{place}}}}}: ")
    assert why in fault.value.faults[0]


def test_a_run_that_was_not_made_is_said() -> None:
    # its paragraphs, and no others, become one line that says how to make it
    template = "one {{ladder ladders}}\n\n{{holds ladder x slope > 1}}\ntwo\n\nthree {{blog httpx/asyncio slope}}"
    assert fill.filled(template, FILES) == "*Not measured yet: `loopdiag run scenarios/ladder.toml`.*\n\nthree 10.0 ±1.0 ms/request\n"


def test_tables_are_whole() -> None:
    # arms, rungs and accounts: a row each, small accounts summed up, the slope below
    arms = fill.filled("{{blog arms}}", FILES).splitlines()
    assert arms[2] == "| `httpx/asyncio` | 10.0 ±1.0 | `a + b*N^2` | 1.8 ±0.2 | 1.00 | 8.00 |"
    assert len(arms) == 4
    steps = fill.filled("{{blog ladders}}", FILES).splitlines()
    assert steps[2:] == ["| `epoll/own` | 1.00 ±0.10 | 1.00 ±0.10 | 10 % |", "| `httpx/asyncio` | 10.0 ±1.0 | 9.0 ±1.0 | 90 % |"]
    beside = {**FILES, "plain": {**RUN, "ladders": [{"loop": "asyncio", "rungs": RUN["ladders"][0]["rungs"][1:]}]}}
    assert fill.filled("{{rungs blog plain}}", beside).splitlines()[2:] == [
        "| `epoll/own` | 1.00 ±0.10 | – |",
        "| `httpx/asyncio` | 10.0 ±1.0 | 10.0 ±1.0 |",
    ]
    ledger = fill.filled("{{blog httpx/asyncio ledger}}", FILES).splitlines()
    assert [row.split(" | ")[0] for row in ledger[2:]] == [
        "| tls-handshake",
        "| client-pool (waiting)",
        "| smaller ones",
        "| **the slope**",
    ]


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [([10.0, 9.0, 11.0], [4.0, None, None], [6.0, None, None]), ([5.0, 2.0, 8.0], [5.0, 1.0, 9.0], [0.0, -5.0, 5.0])],
)
def test_differences_carry_both_intervals(above: list[float], below: list[Any], expected: list[Any]) -> None:
    # half-widths add up in squares (3, 4 → 5), and without one interval there is none
    assert fill.difference(above, below) == expected


def run_of(document: Document, folder: Path) -> Path:
    """A run's folder as the pipeline leaves it, as far as the docs read it."""
    store = Store.create(folder, document.recording)
    store.finish(document.recording)
    (folder / "diagnosis.json").write_text(str(rendered(document, "json")))
    return folder


def made_of(name: str, document: Document, budget_s: float | None = None, **sweep: Any) -> Document:
    """The document as if it were a run of a shipped scenario, with another sweep, or a whole budget from the command line."""
    scenario = load_scenario(PROJECT / f"scenarios/{name}.toml")
    changed = replace(scenario, sweep=replace(scenario.sweep, **sweep))
    if budget_s is not None:
        changed = shared(replace(changed, sweep=replace(changed.sweep, budget_s=budget_s)), scenario)
    return replace(document, recording=replace(document.recording, scenario=changed))


def test_a_small_file_holds_what_the_diagnosis_says(tmp_path: Path) -> None:
    # slope, accounts and prescription of each arm are the diagnosis', to five digits
    document = made_of("pokeapi", documents.explained())
    found = runs.extract(run_of(document, tmp_path / "run"))
    assert found["command"] == "loopdiag run scenarios/pokeapi.toml"
    for arm in document.diagnosis.arms:
        told = found["arms"][arm.arm]
        assert arm.slope_ms is not None
        assert told["slope"][0] == pytest.approx(arm.slope_ms.value, rel=1e-4)
        assert sum(value[0] for value in told["accounts"].values()) == pytest.approx(
            sum(e.slope_ms for e in arm.ledger), rel=1e-3, abs=1e-4
        )
        assert (told["prescription"] is None) == (arm.prescription is None)
    assert len(json.dumps(found)) < 100_000


@pytest.mark.parametrize(
    ("changed", "options"),
    [
        ({"n": (25, 50)}, "--n 25,50"),
        ({"budget_s": 30.0}, "--budget 30s"),
        ({"n": (7,), "budget_s": 33.3}, "--n 7 --budget 33.3s"),
        ({}, None),
    ],
)
def test_the_command_makes_the_same_run(changed: dict[str, Any], options: str | None, tmp_path: Path) -> None:
    # what differs from the shipped scenario stands in the command
    found = runs.extract(run_of(made_of("pokeapi", documents.small(), **changed), tmp_path / "run"))
    assert found["command"] == " ".join(filter(None, ["loopdiag run scenarios/pokeapi.toml", options]))


def test_a_run_that_no_command_makes_again_is_refused(tmp_path: Path) -> None:
    # a scenario that is not the shipped one of its name
    document = made_of("pokeapi", documents.small(), seed=77)
    with pytest.raises(InputError, match=r"was not made of scenarios/pokeapi\.toml"):
        runs.extract(run_of(document, tmp_path / "run"))


def test_the_slope_of_the_cpu_is_that_of_least_squares() -> None:
    # exact on a line, and the known one on three points off it
    assert runs.steepness([(10, 21.0), (20, 41.0), (40, 81.0)]) == pytest.approx(2.0)
    assert runs.steepness([(0, 0.0), (1, 0.0), (2, 3.0)]) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("all is well: /api/v2/pokemon/{i}, https://example.org/home/x, and/or", []),
        ("see /home/someone/x.py", ["/home/someone/x.py"]),
        ('"/tmp/run-1"', ["/tmp/run-1"]),
        ("on buildbox it ran", ["buildbox"]),
        ("on buildboxes it ran", []),
    ],
)
def test_an_example_tells_nothing_of_its_machine(text: str, found: list[str]) -> None:
    # absolute paths and the host's name are found, addresses and words are not
    assert example.telling(text, "buildbox") == found


def test_the_committed_example_is_small_and_anonymous() -> None:
    # what is committed would be made so again
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    assert files
    assert sum(path.stat().st_size for path in files) <= example.LARGEST
    for path in files:
        if path.suffix in {".json", ".txt", ".svg"}:
            assert example.telling(path.read_text(encoding="utf-8"), "") == []


def test_links_lead_somewhere() -> None:
    # each link from why-linear to a heading of another page finds it
    for page, anchor in re.findall(r"\]\(([\w-]+\.md)#([\w-]+)\)", fill.TEMPLATE.read_text(encoding="utf-8")):
        assert f"## `{anchor}`" in (DOCS / page).read_text(encoding="utf-8")


def test_pictures_that_the_docs_show_are_there() -> None:
    # no link of README.md or why-linear.md to a picture is dead
    for text in (PROJECT / "README.md", fill.TEXT):
        for link in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text.read_text(encoding="utf-8")):
            assert (text.parent / link).is_file(), f"{text.name} shows {link}"
