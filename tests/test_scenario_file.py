"""Scenario files: every fault in one line, all at once; what is right reads back as itself."""

import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from loopdiag.errors import InputError
from loopdiag.lab import scenario_faults
from loopdiag.lab.clients import CLIENTS
from loopdiag.lab.loops import LOOPS
from loopdiag.lab.rules import changed, defaults, judge
from loopdiag.lab.scenario_file import apply_overrides, load_scenario, parse_scenario, to_toml
from loopdiag.lab.scenario_no_effect import NO_EFFECT
from loopdiag.lab.scenario_rules import RULES, TABLES
from loopdiag.lab.scenario_text import toml_value
from loopdiag.lab.strict import describe, leaves, show
from loopdiag.lab.toml_lines import KeyLines
from loopdiag.model.scenario import Arm, Fake, Live, Payload, Plant, Pool, Scenario, Service, Sweep, Target, Workload

PROJECT = Path(__file__).parent.parent
SCENARIOS = sorted((PROJECT / "scenarios").glob("*.toml"))
ARMS = 'arms = ["httpx/asyncio"]\n'
NO_SUCH_EFFECT = "has no effect, because "
CLOSED = NO_SUCH_EFFECT + 'a closed workload has no arrivals; set workload.kind = "open" for an arrival rate'


def parse(text: str, folder: Path = PROJECT) -> Scenario:
    return parse_scenario(text, source="x.toml", folder=folder, default_name="x")


def faults_of(text: str, folder: Path = PROJECT) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text, folder)
    return list(caught.value.faults)


# (what follows the arms, the one fault line without the file's name); fragments that write arms themselves stand alone
WRONG = [
    # unknown keys
    ("repetitions = 3", "2: repetitions: unknown key here; did you mean sweep.repetitions?"),
    ('nmae = "x"', "2: nmae: unknown key; did you mean name?"),
    (
        "nothing = 1",
        "2: nothing: unknown key; expected one of name, question, arms, target, workload, pool, sweep, live, instruments, profile, verify, reference, ladder, fake, program, knobs",
    ),
    ("[sweeps]\nn = [1]", "2: sweeps: unknown key; did you mean sweep?"),
    ('arm = ["httpx/asyncio"]', "1: arm: unknown key; did you mean arms?"),
    (
        '"a\\u0007b" = 1',
        '2: "a\\u0007b": unknown key; expected one of name, question, arms, target, workload, pool, sweep, live, instruments, profile, verify, reference, ladder, fake, program, knobs',
    ),
    # name and question
    ("name = 3", "2: name: expected text in quotes, got 3"),
    (
        'name = "../evil"',
        "2: name: it names the run's folder: expected at most 80 letters, digits, '-', '_' and '.', a letter or a digit first",
    ),
    ('question = "a\\nb"', "2: question: expected one line of at most 300 printable characters"),
    # arms
    ("arms = []", '1: arms: expected at least one arm, such as "aiohttp/asyncio"'),
    (
        'arms = "httpx/asyncio"',
        '1: arms: expected a list of arms, such as arms = ["aiohttp/asyncio", "httpx/asyncio"], got "httpx/asyncio"',
    ),
    ('arms = ["httpx"]', '1: arms[0]: expected "CLIENT/LOOP", such as "httpx/asyncio", got "httpx"'),
    ("arms = [3]", '1: arms[0]: expected "CLIENT/LOOP", such as "httpx/asyncio", got 3'),
    ('arms = ["htpx/asyncio"]', f"1: arms[0]: unknown client \"htpx\"; did you mean 'httpx'? (known: {', '.join(CLIENTS)})"),
    ('arms = ["httpx/uvlop"]', f"1: arms[0]: unknown loop \"uvlop\"; did you mean 'uvloop'? (known: {', '.join(LOOPS)})"),
    (
        'arms = ["httpx/virtual"]',
        '1: arms[0]: the loop virtual is for the client fake only; expected "httpx/asyncio" or the like, got "httpx/virtual"',
    ),
    (
        'arms = ["httpx/sync"]',
        '1: arms[0]: the client httpx does not run on the loop sync; expected "httpx/asyncio" or "httpx/uvloop" or "httpx/trio", got "httpx/sync"',
    ),
    ('arms = ["curl/own"]', '1: arms[0]: the client curl does not run on the loop own; expected "curl/curl", got "curl/own"'),
    (
        'arms = ["httpx-sync/sync"]\n[workload.plant]\ncpu_us = 5',
        '1: arms[0]: workload.plant is played on asyncio, uvloop and virtual only, not on the loop sync; remove the table, or "httpx-sync/sync"',
    ),
    (
        'arms = ["twisted/twisted"]\n[pool]\nlimit = 5',
        "3: pool.limit: twisted bounds its idle connections only; remove the key, or the twisted arms",
    ),
    (
        'arms = ["tornado/asyncio"]\n[target]\nhttp = "2"',
        '3: target.http: tornado cannot speak HTTP/2; set http = "1.1", or remove the tornado arms',
    ),
    ('arms = ["fake/asyncio"]', '1: arms[0]: the client fake runs on the loop virtual only; expected "fake/virtual", got "fake/asyncio"'),
    ('arms = ["httpx/asyncio", "httpx/asyncio"]', '1: arms[1]: "httpx/asyncio" stands in the list twice'),
    ('[[arms]]\nloop = "asyncio"', "1: arms[0].client: missing; expected text in quotes"),
    ('[[arms]]\nclient = "httpx"\n[[arms]]\nclient = "wget"', f'3: arms[1]: unknown client "wget" (known: {", ".join(CLIENTS)})'),
    ('[[arms]]\nclient = "httpx"\nlop = "uvloop"', "3: arms[0].lop: unknown key; did you mean loop?"),
    # target
    ("target = 3", "2: target: expected a table, got 3"),
    (
        '[target]\nurl = "ftp://h"\n[sweep]\nn = [1]',
        '3: target.url: expected http:// or https:// and a host, such as "https://example.org"',
    ),
    (
        '[target]\nurl = "http://"\n[sweep]\nn = [1]',
        '3: target.url: expected http:// or https:// and a host, such as "https://example.org"',
    ),
    (
        '[target]\nurl = "http://h:99999"\n[sweep]\nn = [1]',
        '3: target.url: expected an address with a valid host and port, such as "https://example.org"',
    ),
    (
        '[target]\nurl = "https://me:secret@h"\n[sweep]\nn = [1]',
        "3: target.url: expected no user name or password in the address: a recording would keep them",
    ),
    (
        '[target]\nurl = "http://h/?q=1"\n[sweep]\nn = [1]',
        "3: target.url: expected scheme, host and perhaps a path, without ? and #; a query belongs in target.path",
    ),
    (
        '[target]\nurl = "http://h/{i}"\n[sweep]\nn = [1]',
        "3: target.url: expected no braces; {i}, the number of the request, belongs in target.path",
    ),
    (
        '[target]\nurl = "http://h"',
        "sweep.n: expected at most live.max_n = 100 requests on a live target; set smaller ones, or live.max_n if its owner agrees",
    ),
    (
        '[target]\nurl = "http://h"\ntls = "rsa-2048"\n[sweep]\nn = [1]',
        f"4: target.tls: {NO_SUCH_EFFECT}the scheme of target.url says whether there is TLS",
    ),
    (
        '[target]\nurl = "http://h"\n[target.service]\nmean_ms = 3\n[sweep]\nn = [1]',
        f"5: target.service.mean_ms: {NO_SUCH_EFFECT}target.url names a server of its own; this describes the embedded target",
    ),
    ('[target]\npath = "x"', '3: target.path: expected a path that starts with "/", got "x"'),
    ('[target]\npath = "/{n}"', '3: target.path: expected no braces but {i}, the number of the request, got "/{n}"'),
    ('[target]\npath = "/a b"', '3: target.path: expected a path without blanks and control characters, got "/a b"; write %20'),
    ('[target]\npath = "/a#b"', '3: target.path: expected a path without "#": what follows it is never sent'),
    ("[target]\ntls = true", '3: target.tls: expected one of "ecdsa-p256", "off", "rsa-2048", "rsa-4096", got true'),
    (
        '[target]\ntls = "ecdsa"',
        '3: target.tls: expected one of "ecdsa-p256", "off", "rsa-2048", "rsa-4096", got "ecdsa"; did you mean "ecdsa-p256"?',
    ),
    ("[target]\nhttp = 2", '3: target.http: expected one of "1.1", "2", got 2; write it in quotes'),
    (
        'arms = ["aiohttp/asyncio"]\n[target]\nhttp = "2"',
        '3: target.http: aiohttp cannot speak HTTP/2; set http = "1.1", or remove the aiohttp arms',
    ),
    (
        '[target]\nhttp = "2"\n[target.service]\nkeep_alive = false',
        f"5: target.service.keep_alive: {NO_SUCH_EFFECT}HTTP/2 has no field that ends a connection after an answer",
    ),
    # service and payload
    ("[target.service]\nmean_ms = -1", "3: target.service.mean_ms: expected a number ≥ 0, got -1"),
    ("[target.service]\nmean_ms = nan", "3: target.service.mean_ms: expected a number ≥ 0, got nan; it must be finite"),
    ('[target.service]\nmean_ms = "50"', '3: target.service.mean_ms: expected a number ≥ 0, got "50"; write it without quotes'),
    (
        '[target.service]\nlaw = "Normal"',
        '3: target.service.law: expected one of "constant", "lognormal", "normal", "table", got "Normal"; did you mean "normal"?',
    ),
    ('[target.service]\nlaw = "table"', '2: target.service.table: missing; law = "table" needs a CSV file with a column "ms"'),
    ('[target.service]\ntable = "x.csv"', f'3: target.service.table: {NO_SUCH_EFFECT}target.service.law is "constant"'),
    (
        "[target.service]\nsd_ms = 10",
        f'3: target.service.sd_ms: {NO_SUCH_EFFECT}target.service.law is "constant"; only "normal" and "lognormal" have a deviation',
    ),
    (
        '[target.service]\nlaw = "lognormal"\nsd_ms = 1',
        '2: target.service.mean_ms: expected a number > 0 with law = "lognormal", got 0',
    ),
    (
        "[target.service]\nretry_after_s = 2",
        f"3: target.service.retry_after_s: {NO_SUCH_EFFECT}without target.service.rate_per_s no request is refused",
    ),
    (
        "[target.service]\nkeep_alive = false\nrequests_per_connection = 5",
        f"4: target.service.requests_per_connection: {NO_SUCH_EFFECT}with target.service.keep_alive = false each connection serves one request",
    ),
    ("[target.service]\nconcurrency = 0", "3: target.service.concurrency: expected a whole number ≥ 1, got 0"),
    ('[target.service]\nkeep_alive = "no"', '3: target.service.keep_alive: expected true or false, got "no"'),
    (
        'arms = ["fake/virtual"]\n[target.service]\nconcurrency = 5',
        "3: target.service.concurrency: the client fake cannot play this; remove the key, or the fake arm",
    ),
    (
        'arms = ["fake/virtual"]\n[target]\ntls = "rsa-2048"',
        f"3: target.tls: {NO_SUCH_EFFECT}the client fake opens no socket, and there is no other arm",
    ),
    (
        'arms = ["fake/virtual"]\n[target]\nurl = "http://h"\n[sweep]\nn = [1]',
        "3: target.url: the client fake sends nothing to a live target; remove the url, or the fake arm",
    ),
    (
        '[target.payload]\nlaw = "table"',
        '2: target.payload.table: missing; law = "table" needs "pokeapi" or a CSV file with a column "json_bytes"',
    ),
    (
        '[target.payload]\nlaw = "table"\ntable = "pokeapi"\nmean_bytes = 5',
        f'5: target.payload.mean_bytes: {NO_SUCH_EFFECT}with law = "table" the sizes come from the table',
    ),
    ("[target.payload]\nmean_bytes = 1.5", "3: target.payload.mean_bytes: expected a whole number ≥ 0, got 1.5"),
    (
        "[target.payload]\nmean_bytes = 10_000_000_000",
        "3: target.payload.mean_bytes: expected at most 1073741824 bytes, which is 1 GiB, got 10000000000",
    ),
    (
        '[target.payload]\nmean_bytes = 0\n[workload]\ndecode = "json"',
        '3: target.payload.mean_bytes: expected a whole number ≥ 1 with workload.decode = "json", got 0: an empty body is not JSON',
    ),
    # profiles
    ("[profile]\nrate_hz = 5", "3: profile.rate_hz: expected at least 10 and at most 10000 a second, got 5"),
    ("[profile]\nrate_hz = 0.5", "3: profile.rate_hz: expected a whole number ≥ 1, got 0.5"),
    (
        "[profile]\nenabled = false\nnative = true",
        f"4: profile.native: {NO_SUCH_EFFECT}profile.enabled is false, so nothing is profiled",
    ),
    (
        'arms = ["fake/virtual"]\n[profile]\nrate_hz = 100',
        f"3: profile.rate_hz: {NO_SUCH_EFFECT}the client fake runs on virtual time, and there is no other arm to profile",
    ),
    (
        '[profile]\ncalls = false\n[target]\nurl = "http://h"\n[sweep]\nn = [1]',
        f"3: profile.calls: {NO_SUCH_EFFECT}a live target is asked for no more than the law needs: it is not profiled",
    ),
    # workload
    ('[workload]\nkind = "open"', "2: workload.rate_per_s: missing; an open workload needs its arrivals per second"),
    (
        '[workload]\nkind = "open"\nrate_per_s = 100\nconcurrency = 3',
        f"5: workload.concurrency: {NO_SUCH_EFFECT}an open workload starts each request when it is due; it is for closed ones",
    ),
    ("[workload]\nrate_per_s = 5", f"3: workload.rate_per_s: {CLOSED}"),
    ('[workload]\narrivals = "poisson"', f"3: workload.arrivals: {CLOSED}"),
    (
        '[workload]\nkind = "open"\nrate_per_s = 1',
        "4: workload.rate_per_s: at 1 a second the largest n arrives no sooner than sweep.trial_timeout_s = 60 s ends the trial; raise one of the two, or lower sweep.n",
    ),
    (
        '[workload]\ndecode_when = "inside"',
        f'3: workload.decode_when: {NO_SUCH_EFFECT}nothing is decoded; set workload.decode = "json"',
    ),
    (
        '[workload]\nmethod = "HEAD"\ndecode = "json"',
        '4: workload.decode: expected "none" with workload.method = "HEAD", got "json": the answer to HEAD has no body',
    ),
    (
        '[workload]\nmethod = "HEAD"\n[target.service]\ngap_ms = 5',
        f"5: target.service.gap_ms: {NO_SUCH_EFFECT}the answer to HEAD has no body to pause before",
    ),
    (
        '[workload]\nmethod = "get"',
        '3: workload.method: expected one of "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", got "get"; did you mean "GET"?',
    ),
    (
        "[sweep]\ntrial_timeout_s = 30",
        "workload.timeout_s: expected at most sweep.trial_timeout_s = 30, but it is 60: the trial would end before the request",
    ),
    ("[workload]\ntimeout_s = 0", "3: workload.timeout_s: expected a number > 0, got 0"),
    # pool
    ("[pool]\nlimit = 20\nkeepalive = 30", f"4: pool.keepalive: {NO_SUCH_EFFECT}pool.limit = 20 allows fewer connections than 30"),
    ("[pool]\nlimit = true", "3: pool.limit: expected a whole number ≥ 0, got true"),
    (
        "[pool]\nlimit = 10\nlimit_per_host = 10",
        f"4: pool.limit_per_host: {NO_SUCH_EFFECT}all requests go to one host, and pool.limit = 10 holds for it already",
    ),
    (
        "[pool]\nkeepalive_s = 3\n[target.service]\nkeep_alive = false",
        f"3: pool.keepalive_s: {NO_SUCH_EFFECT}with target.service.keep_alive = false no connection is ever idle",
    ),
    (
        'arms = ["aiohttp/asyncio"]\n[pool]\nkeepalive = 5',
        "3: pool.keepalive: aiohttp cannot bound its idle connections; remove the key, or the aiohttp arms",
    ),
    # sweep
    ("[sweep]\nn = 50", "3: sweep.n: expected a list of whole numbers ≥ 1, got 50"),
    ("[sweep]\nn = []", "3: sweep.n: expected at least one number of requests, such as [50, 100, 200, 400, 800]"),
    ('[sweep]\nn = [50, "100"]', '3: sweep.n[1]: expected a whole number ≥ 1, got "100"; write it without quotes'),
    ("[sweep]\nn = [50, 50]", "3: sweep.n: expected each number to be larger than the one before it"),
    ("[sweep]\nn = [0]", "3: sweep.n[0]: expected a whole number ≥ 1, got 0"),
    ("[sweep]\nn = [1000000]", "3: sweep.n: expected at most 100000 requests a trial, got 1000000"),
    ('[sweep]\nrepetitions = "three"', '3: sweep.repetitions: expected a whole number ≥ 1, got "three"'),
    ("[sweep]\nrepetitions = 40", "2: sweep.max_repetitions: expected at least sweep.repetitions = 40, but it is 30"),
    ("[sweep]\nprecision = 5", "3: sweep.precision: expected a number > 0 and < 1, got 5"),
    ("[sweep]\nbudget_s = inf", "3: sweep.budget_s: expected a number > 0, got inf; it must be finite"),
    ("[sweep]\nseed = 99999999999999999999", "3: sweep.seed: expected a whole number ≥ 0, got a number of more than 64 bits"),
    ("[sweep]\nbudget_s = 2021-01-01", "3: sweep.budget_s: expected a number > 0, got the date 2021-01-01"),
    (
        '[workload]\nkind = "open"\nrate_per_s = 1e-9',
        "4: workload.rate_per_s: expected at least 0.001 and at most 1000000 a second, got 1e-09",
    ),
    # live and fake
    ("[live]\nmax_n = 5", f"3: live.max_n: {NO_SUCH_EFFECT}there is no target.url, so the target is the embedded one"),
    ("[fake]\ncpu_us = 3", f"3: fake.cpu_us: {NO_SUCH_EFFECT}no arm has the client fake"),
    # not TOML
    ("[sweep\nn = [1]", "2: not valid TOML: expected ']' at the end of a table declaration (column 7)"),
    ("name = 1\nname = 2", "3: not valid TOML: cannot overwrite a value (at the end of the file)"),
    ("name = ", "2: not valid TOML: invalid value (at the end of the file)"),
    ("x = " + "[" * 100_000, "not valid TOML: lists or tables are nested too deeply"),
    ("x = " + "1" * 5_000, "not valid TOML: a number has too many digits"),
]


@pytest.mark.parametrize(("fragment", "line"), WRONG, ids=[re.sub(r"\W+", " ", fragment)[:60] for fragment, _ in WRONG])
def test_each_mistake_has_its_line(fragment: str, line: str) -> None:
    # a single mistake gives a single line: file, line where known, key, and what would be right
    alone = fragment.startswith(("arm", "[[arm"))
    place = ":" if line[0].isdigit() else ": "
    found = faults_of(fragment if alone else ARMS + fragment)
    if '[workload]\nkind = "open"\nrate_per_s = 1e-9' in fragment:
        found = [fault for fault in found if "arrives" not in fault]  # so slow a rate is wrong in two ways
    assert found == [f"x.toml{place}{line}"]


def test_all_faults_come_at_once() -> None:
    # one error holds every fault, of types and of rules, in the order of the lines
    text = 'arms = ["htpx/asyncio", "aiohttp/asyncio"]\nnmae = "x"\n[target]\nhttp = "2"\n[sweep]\nn = [3, 2]\nseed = "a"\n[workload]\nmethod = 1\n'
    assert [line.split(": ")[0:2] for line in faults_of(text)] == [
        ["x.toml:1", "arms[0]"],
        ["x.toml:2", "nmae"],
        ["x.toml:4", "target.http"],
        ["x.toml:6", "sweep.n"],
        ["x.toml:7", "sweep.seed"],
        ["x.toml:9", "workload.method"],
    ]


def test_a_rule_that_reads_a_wrong_key_keeps_silent() -> None:
    # what follows from a value that could not be read is not said
    assert faults_of(ARMS + '[workload]\nkind = "opn"\nrate_per_s = 3') == [
        'x.toml:3: workload.kind: expected one of "closed", "open", got "opn"; did you mean "open"?'
    ]
    assert faults_of(ARMS + '[workload]\nkind = "open"\nrate_per_sec = 30') == [
        "x.toml:4: workload.rate_per_sec: unknown key; did you mean rate_per_s?"
    ]


@pytest.mark.parametrize(
    "text",
    [
        'url = "https://me:hunter2@example.org/"',
        'url = "https://me:hunter2/x@example.org/"',
        'url = "//me:hunter2@"',
        'path = "https://me:hunter2@example.org/"',
        'tls = "https://me:hunter2@example.org/"',
        'http = "x//me:hunter2@y"',
        '"http://me:hunter2@h" = 1',
        'url = "https://me:hunter2@[::1"',
    ],
)
def test_a_password_is_never_repeated(text: str) -> None:
    # no fault line quotes what stands before the @ of an address, whatever key it was written into
    assert "hunter2" not in "\n".join(faults_of(f"{ARMS}[target]\n{text}"))


def test_http2_names_the_part_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    # httpx without h2: the line says what to install; with it, all is well
    text = ARMS + '[target]\nhttp = "2"\n'
    monkeypatch.setattr(scenario_faults, "find_spec", lambda _: None)
    assert faults_of(text) == ['x.toml:1: arms[0]: httpx needs the optional part h2 for HTTP/2; run: pip install "loopdiag[http2]"']
    monkeypatch.setattr(scenario_faults, "find_spec", lambda _: object())
    assert parse(text).target.http == "2"


TABLES_WRONG = [
    ("gone.csv", 'cannot read "DIR/gone.csv": no such file or directory; the path counts from the scenario\'s folder'),
    (".", '"DIR" is not a file; expected a CSV file'),
    ("a\\u0000b", 'cannot read "DIR/a\\u0000b": not a file name; the path counts from the scenario\'s folder'),
    ("cell.csv", "DIR/cell.csv, line 3: ms is 'x'; a number ≥ 0 would be right (and 1 more)"),
    ("columns.csv", "DIR/columns.csv: no column 'ms'; its columns are a, b"),
    ("rows.csv", "DIR/rows.csv: no rows; at least one would be right"),
]


@pytest.mark.parametrize(("name", "line"), TABLES_WRONG)
def test_tables_are_read_before_the_run(tmp_path: Path, name: str, line: str) -> None:
    # a table that is absent, no file, or lacks what the target will read is a fault of the scenario
    (tmp_path / "cell.csv").write_text("ms\n1\nx\n-1\n")
    (tmp_path / "columns.csv").write_text("a,b\n1,2\n")
    (tmp_path / "rows.csv").write_text("ms\n")
    found = faults_of(f'{ARMS}[target.service]\nlaw = "table"\ntable = "{name}"', tmp_path)
    assert found == ["x.toml:4: target.service.table: " + line.replace("DIR", str(tmp_path))]


def test_tables_become_absolute(tmp_path: Path) -> None:
    # a relative path counts from the scenario's folder; the shipped table keeps its name
    (tmp_path / "think.csv").write_text("id,ms\n1,40\n2,60.5\n")
    text = ARMS + '[target.service]\nlaw = "table"\ntable = "think.csv"\n[target.payload]\nlaw = "table"\ntable = "pokeapi"\n'
    target = parse(text, tmp_path).target
    assert (target.service.table, target.payload.table) == (str(tmp_path / "think.csv"), "pokeapi")


def test_files_that_are_no_scenario(tmp_path: Path) -> None:
    # missing, a folder, not UTF-8, empty, too large: one line each, with the file's name
    (tmp_path / "bytes.toml").write_bytes(b'name = "x"\n\xff\n')
    (tmp_path / "empty.toml").write_text(" \n")
    (tmp_path / "large.toml").write_text("#" * (2**20 + 1))
    (tmp_path / "bad name.toml").write_text(ARMS)
    expected = {
        "gone.toml": ": no such file; in that folder: bad name.toml, bytes.toml, empty.toml, large.toml",
        "": ": is a folder; expected a scenario file (TOML)",
        "bytes.toml": ":2: is not UTF-8 text; expected a scenario file (TOML)",
        "empty.toml": ': is empty; expected a scenario (TOML), with arms at least: such as arms = ["aiohttp/asyncio", "httpx/asyncio"]',
        "large.toml": ": is larger than 1 MiB; expected a scenario file (TOML)",
        "bad name.toml": ': name: missing; the file\'s name "bad name" cannot name the run\'s folder; add name = "bad-name"',
        "a\0b": ": cannot be read: not a file name",
    }
    for name, line in expected.items():
        path = tmp_path / name
        with pytest.raises(InputError) as caught:
            load_scenario(path)
        assert caught.value.faults == (f"{path}{line}",)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    # files from any editor load
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbf" + ARMS.replace("\n", "\r\n").encode() + b"[sweep]\r\nn = [1, 2]\r\n")
    assert load_scenario(tmp_path / "x.toml").sweep.n == (1, 2)


# the shipped scenarios


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_shipped_scenarios_load(path: Path) -> None:
    # each is right, is named after its file, tells at its top what it shows, and is short (what answers the post's question may take longer)
    scenario = load_scenario(path)
    assert scenario.name == path.stem
    assert len(scenario.sweep.n) >= 5
    assert scenario.sweep.n[-1] >= 8 * scenario.sweep.n[0]
    assert scenario.sweep.budget_s <= (180 if path.stem.partition("-")[0] in {"pokeapi", "blog", "go", "ladder", "stack"} else 40)
    text = path.read_text()
    assert text.startswith("# ")
    assert "# Look for: " in text


def test_the_set_of_shipped_scenarios() -> None:
    # these are promised
    assert sorted(path.stem for path in SCENARIOS) == [
        "blog", "fake", "go", "go-h2", "ladder", "ladder-plain", "ladder-plain-unlimited", "ladder-unlimited", "plain-http", "pokeapi", "pool-limit", "slow-server", "stack-2021",
    ]  # fmt: skip


def test_pokeapi_is_the_experiment_of_2021() -> None:
    # the blog's figures, key by key
    s = load_scenario(PROJECT / "scenarios/pokeapi.toml")
    assert [arm.name for arm in s.arms] == ["httpx/asyncio", "httpx/uvloop", "aiohttp/asyncio", "aiohttp/uvloop"]
    assert s.target == Target(
        path="/api/v2/pokemon/{i}",
        tls="ecdsa-p256",
        service=Service(law="normal", mean_ms=50, sd_ms=10),
        payload=Payload(law="table", table="pokeapi", gzip=True),
    )
    assert s.workload == Workload(decode="json")
    assert s.pool == Pool()
    assert s.sweep.n == (25, 50, 100, 150, 200, 300, 400, 800)


def test_the_post_is_measured_again_in_its_own_world() -> None:
    # the programs of its four figures, its values of N, its libraries' own pools, and its measurements beside them; measuring and verifying take four minutes at most
    s = load_scenario(PROJECT / "scenarios/blog.toml")
    assert {"httpx.get/sync", "httpx.get/threads", "httpx/asyncio", "go/own"} <= {arm.name for arm in s.arms}
    assert (s.sweep.n[0], s.sweep.n[-1]) == (10, 790)
    assert s.pool == Pool()
    assert s.workload == Workload(decode="json")
    assert s.reference.table == "blog"
    assert s.sweep.budget_s + s.verify.budget_s <= 240


def test_plain_http_differs_from_pokeapi_by_tls_alone() -> None:
    # otherwise the difference of their slopes would not be the handshakes
    plain, secure = (load_scenario(PROJECT / f"scenarios/{name}.toml") for name in ("plain-http", "pokeapi"))
    assert plain.target == replace(secure.target, tls="off")
    assert (plain.workload, plain.pool) == (secure.workload, secure.pool)


# overrides


@pytest.mark.parametrize(
    ("given_n", "arms", "budget", "expected"),
    [
        ("50, 100", None, None, {"sweep.n": (50, 100)}),
        (None, ["aiohttp/uvloop", "httpx/asyncio"], None, {"arms": (Arm(client="aiohttp", loop="uvloop"), Arm(client="httpx"))}),
        (None, [], "120s", {"sweep.budget_s": 120.0}),
        (None, None, "2m", {"sweep.budget_s": 120.0}),
        (None, None, "1.5min", {"sweep.budget_s": 90.0}),
        ("7", ["httpx/uvloop"], "90", {"sweep.n": (7,), "arms": (Arm(client="httpx", loop="uvloop"),), "sweep.budget_s": 90.0}),
        (None, None, None, {}),
    ],
)
def test_overrides_replace_their_key_alone(
    given_n: str | None, arms: list[str] | None, budget: str | None, expected: dict[str, Any]
) -> None:
    # what is not given stays as it is
    before = parse(ARMS + "[sweep]\nn = [5, 6]\nbudget_s = 33\n")
    after = apply_overrides(before, n=given_n, arms=arms, budget=budget)
    assert {key: attrgetter(key)(after) for key in defaults() if attrgetter(key)(after) != attrgetter(key)(before)} == expected


OVERRIDES_WRONG = [
    ({"n": "50,x"}, "", ['--n: expected whole numbers ≥ 1 with commas between them, such as 50,100,200, got "50,x"']),
    ({"n": ""}, "", ['--n: expected whole numbers ≥ 1 with commas between them, such as 50,100,200, got ""']),
    ({"n": "0"}, "", ['--n: expected whole numbers ≥ 1 with commas between them, such as 50,100,200, got "0"']),
    ({"n": "²"}, "", ['--n: expected whole numbers ≥ 1 with commas between them, such as 50,100,200, got "²"']),
    ({"n": "100,50"}, "", ["--n: expected each number to be larger than the one before it"]),
    ({"n": "1000000"}, "", ["--n: expected at most 100000 requests a trial, got 1000000"]),
    (
        {"n": "200"},
        '[target]\nurl = "http://h"\n[sweep]\nn = [10]',
        ["--n: expected at most live.max_n = 100 requests on a live target; set smaller ones, or live.max_n if its owner agrees"],
    ),
    ({"arms": ["httpx"]}, "", ['--arm: expected CLIENT/LOOP, such as httpx/asyncio, got "httpx"']),
    ({"arms": ["htpx/asyncio"]}, "", [f"--arm: unknown client \"htpx\"; did you mean 'httpx'? (known: {', '.join(CLIENTS)})"]),
    ({"arms": ["httpx/uvloop", "httpx/uvloop"]}, "", ['--arm: "httpx/uvloop" stands in the list twice']),
    (
        {"arms": ["aiohttp/uvloop"]},
        '[target]\nhttp = "2"',
        ['--arm: target.http: aiohttp cannot speak HTTP/2; set http = "1.1", or remove the aiohttp arms'],
    ),
    ({"budget": "soon"}, "", ['--budget: expected a time > 0, such as 120s, 2m or 90 (seconds), got "soon"']),
    ({"budget": "0s"}, "", ['--budget: expected a time > 0, such as 120s, 2m or 90 (seconds), got "0s"']),
    ({"budget": "-5"}, "", ['--budget: expected a time > 0, such as 120s, 2m or 90 (seconds), got "-5"']),
    ({"budget": "99h"}, "", ["--budget: expected at most 86400 seconds, which is a day, got 356400"]),
    (
        {"n": "x", "arms": ["y"], "budget": "z"},
        "",
        [
            '--n: expected whole numbers ≥ 1 with commas between them, such as 50,100,200, got "x"',
            '--budget: expected a time > 0, such as 120s, 2m or 90 (seconds), got "z"',
            '--arm: expected CLIENT/LOOP, such as httpx/asyncio, got "y"',
        ],
    ),
]


@pytest.mark.parametrize(("options", "more", "lines"), OVERRIDES_WRONG)
def test_overrides_are_held_to_the_same_rules(options: dict[str, Any], more: str, lines: list[str]) -> None:
    # a fault line begins with the option that it comes from; all of them come at once
    with pytest.raises(InputError) as caught:
        apply_overrides(parse(ARMS + more), **({"n": None, "arms": None, "budget": None} | options))
    assert list(caught.value.faults) == lines


# the rules themselves


class Reads:
    """A scenario that notes which keys are read of it."""

    def __init__(self, value: Any, path: str, seen: set[str]) -> None:
        self._value, self._path, self._seen = value, path, seen

    def __getattr__(self, name: str) -> Any:
        key = f"{self._path}.{name}" if self._path else name
        value = getattr(self._value, name)
        if name == "live" and isinstance(value, bool):
            key = "target.url"  # the property that asks whether there is one
        if key in defaults() or key == "target.url":
            self._seen.add(key)
            return value
        return Reads(value, key, self._seen) if hasattr(value, "__struct_fields__") else value


@pytest.mark.parametrize("row", [*NO_EFFECT, *RULES], ids=lambda row: getattr(row, "keys", None) or row.key)
def test_rules_name_the_keys_that_they_read(row: Any) -> None:
    # a rule that read a key in secret would speak although that key is wrong
    seen: set[str] = set()
    for text in (ARMS, 'arms = ["fake/virtual"]\n', 'arms = ["aiohttp/asyncio"]\n'):
        s = parse(text)
        for url in (None, "http://h"):
            for kind in ("open", "closed"):
                for law in ("table", "constant", "lognormal"):
                    target = replace(s.target, url=url, http="2", service=Service(law=law), payload=Payload(law=law, mean_bytes=0))
                    workload = Workload(kind=kind, rate_per_s=1, decode="json", method="HEAD")
                    row.test(
                        Reads(replace(s, target=target, workload=workload, pool=Pool(limit=1, keepalive=2, limit_per_host=1)), "", seen)
                    )
    declared = set(row.reads.split())
    allowed = declared | {
        key for key in defaults() if key == getattr(row, "key", None) or key.startswith(getattr(row, "keys", "\0").rstrip("*"))
    }
    assert seen <= allowed
    assert declared <= seen


def test_every_key_has_a_range_and_stands_within_it_by_default() -> None:
    # the defaults pass their own rules
    assert judge(TABLES, parse(ARMS)) == []
    assert changed(parse(ARMS)) == ["name", "arms"]


# lines of keys


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("a = 1\n[b]\nc = 2", "b.c", 3),
        ("[b]\n  c.d = 2", "b.c.d", 2),
        ('[b]\n"c" = 2', "b.c", 2),
        ("b = { c = 2 }", "b.c", 1),
        ("[b]\nc = [\n 1,\n [2],\n]\nd = 3", "b.d", 6),
        ("[b]\nc = [\n 1,\n 2,\n]", "b.c[1]", 2),
        ('[b]\nc = """\nd = 1\n"""\nd = 2', "b.d", 5),
        ('[b]\nc = "[" # ]\nd = 2', "b.d", 3),
        ("[[a]]\nx = 1\n[[a]]\nx = 2", "a[1].x", 4),
        ("[[a]]\n[[a]]\n", "a[1]", 2),
        ("[b] # here\n", "b.missing", 1),
        ("a = 1", "b.c", None),
        ("a = 1\na = 2", "a", None),
    ],
)
def test_the_line_of_a_key(text: str, key: str, line: int | None) -> None:
    # the line where it is known, that of the table around a missing one, and nothing where it is not sure
    assert KeyLines(text).of(key) == line


# laws

names = st.text(st.sampled_from("abcXYZ019_-."), min_size=1, max_size=20).filter(lambda name: re.fullmatch(r"\w[\w.-]*", name))
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp", "Zs"]), min_size=1, max_size=30)
counts = st.integers(1, 1000)
amounts = st.floats(0, 1000, allow_subnormal=False)
rates = st.floats(1000, 100_000)
real_arms = st.lists(
    st.builds(Arm, client=st.sampled_from(["aiohttp", "httpx"]), loop=st.sampled_from(["asyncio", "uvloop"])),
    min_size=1,
    max_size=4,
    unique=True,
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


services = st.one_of(
    st.builds(Service, mean_ms=amounts, concurrency=maybe(counts), gap_ms=amounts, requests_per_connection=maybe(counts)),
    st.builds(Service, law=st.sampled_from(["normal", "lognormal"]), mean_ms=st.floats(0.1, 100), sd_ms=amounts, keep_alive=st.booleans()),
    st.builds(Service, rate_per_s=rates, retry_after_s=amounts),
    st.builds(Service, cpu_us=amounts, bytes_per_s=maybe(st.floats(1000, 1e9))),
)
payloads = st.one_of(
    st.builds(Payload, mean_bytes=counts, gzip=st.booleans()),
    st.builds(Payload, law=st.sampled_from(["normal", "lognormal"]), mean_bytes=counts, sd_bytes=counts),
    st.just(Payload(law="table", table="pokeapi", gzip=True)),
)
sweeps = st.builds(
    Sweep,
    n=st.lists(st.integers(1, 100), min_size=1, max_size=6, unique=True).map(lambda n: tuple(sorted(n))),
    repetitions=st.integers(1, 5),
    max_repetitions=st.integers(5, 50),
    precision=st.floats(0.001, 0.9),
    warmups=st.integers(0, 3),
    budget_s=st.floats(1, 1000),
    trial_timeout_s=st.floats(60, 1000),
    seed=st.integers(0, 2**40),
)
workloads = st.one_of(
    st.builds(Workload, concurrency=maybe(counts), decode=st.just("json"), decode_when=st.sampled_from(["after", "inside"])),
    st.builds(
        Workload, kind=st.just("open"), rate_per_s=rates, arrivals=st.sampled_from(["constant", "poisson"]), timeout_s=st.floats(0.1, 60)
    ),
    st.builds(Workload, method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"])),
    st.builds(Workload, plant=st.builds(Plant, cpu_us=amounts, scan_us=amounts, block_ms=amounts)),
)
pools = st.one_of(st.builds(Pool, limit=maybe(st.integers(0, 100))), st.builds(Pool, limit_per_host=maybe(counts)))
paths = words.map(lambda word: "/{i}/" + re.sub(r"[#{}]", "", word))
tls = st.sampled_from(["off", "ecdsa-p256", "rsa-2048", "rsa-4096"])
common: dict[str, Any] = {"name": names, "question": words, "workload": workloads, "sweep": sweeps}
scenarios = st.one_of(
    st.builds(
        Scenario,
        arms=real_arms.map(tuple),
        target=st.builds(Target, path=paths, tls=tls, service=services, payload=payloads),
        pool=pools,
        **common,
    ),
    st.builds(
        Scenario,
        arms=real_arms.map(tuple),
        target=st.builds(Target, url=st.sampled_from(["http://localhost:8000", "https://example.org/api"]), path=paths),
        live=st.builds(Live, runs_per_minute=st.floats(0.1, 100), max_n=st.integers(100, 200)),
        **common,
    ),
    st.builds(
        Scenario,
        arms=st.just((Arm(client="fake", loop="virtual"),)),
        fake=st.builds(Fake, cpu_us=amounts, scan_us=amounts, connect_us=amounts, noise=st.floats(0, 1)),
        **common,
    ),
)


@given(scenarios, st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_written_reads_back_as_itself(scenario: Scenario, full: bool) -> None:
    # parse(to_toml(s)) == s, with all keys or with those alone that are not the default, and each key is found at its line
    text = to_toml(scenario, full=full)
    assert parse(text) == scenario
    places = KeyLines(text)
    for key in changed(scenario):
        line = places.of(key)
        assert line is not None
        assert text.split("\n")[line - 1].startswith(f"{key.rpartition('.')[2]} = ")


def test_the_text_of_a_scenario() -> None:
    # the tables in the model's order, the defaults left out, whole numbers without a fraction
    text = 'arms = ["httpx/asyncio"]\nquestion = "a \\"b\\""\n[pool]\nlimit = 20\n[target.service]\nmean_ms = 50.0\n'
    assert (
        to_toml(parse(text))
        == 'name = "x"\nquestion = "a \\"b\\""\narms = ["httpx/asyncio"]\n\n[target.service]\nmean_ms = 50\n\n[pool]\nlimit = 20\n'
    )


def only_input_errors(text: str) -> None:
    """Reading may succeed or fail with lines; nothing else may come out, and no line may break the terminal."""
    faults = ["x.toml"]
    try:
        parse(text)
    except InputError as error:
        faults = list(error.faults)
    assert faults
    assert all(fault.startswith("x.toml") and fault.isprintable() for fault in faults)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    # arbitrary text never raises anything but InputError
    only_input_errors(text)


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused(tmp_path: Path, raw: bytes) -> None:
    # arbitrary bytes in a file never raise anything but InputError
    path = tmp_path / "x.toml"
    path.write_bytes(raw)
    with pytest.raises(InputError):
        load_scenario(path)


SCALARS = ('"x"', "0", "-1", "1", "3.5", "true", "nan", "inf", "1e308", "1979-05-27", "07:32:00", "0x" + "f" * 5000, "9" * 30)
TEXTS = ('"\\u0000"', '"../.."', '"table"', '"pokeapi"', '"http://a@b"', '"HEAD"', '"open"', '"2"')
values = st.sampled_from([*SCALARS, *TEXTS, "[]", "[1]", '["a/b"]', "{}", "{a = 1}"])
key_names = st.sampled_from([*(leaf.key for leaf in leaves(Scenario)), "x", '"a b"', "target", "sweep", "arms"])


@given(st.dictionaries(key_names, values, max_size=8), st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_values_for_the_keys_are_read_or_refused(pairs: dict[str, str], arms: bool) -> None:
    # right keys with any values, in any combination, never raise anything but InputError
    text = "".join(f"{key} = {value}\n" for key, value in pairs.items())
    only_input_errors((ARMS if arms and "arms" not in pairs else "") + text)


@given(st.sampled_from([path.read_text() for path in SCENARIOS]), st.integers(0), st.integers(0, 12), st.text(max_size=6))
@settings(max_examples=200, deadline=None)
def test_a_damaged_scenario_is_read_or_refused(text: str, at: int, cut: int, put: str) -> None:
    # a shipped scenario with a piece cut out and another put in never raises anything but InputError
    assume(put or cut)
    at %= len(text)
    only_input_errors(text[:at] + put + text[at + cut :])


@given(st.text(), st.text())
def test_shown_text_is_short_and_printable(text: str, more: str) -> None:
    # whatever a file holds, a line of the terminal bears it
    shown = show(text + "//a:b@" + more)
    assert shown.isprintable()
    assert len(shown) <= 60 * len("\\U0001f600")


# the reference


def test_the_reference_tells_every_key_with_its_type_and_default() -> None:
    # docs/scenario-reference.md is held by the model: no key is absent, none too many, no type or default out of date
    rows = re.findall(
        r"^\| `([a-z0-9_.]+)` \| (.*?) \| (.*?) \| (.+) \|$", (PROJECT / "docs/scenario-reference.md").read_text(), re.MULTILINE
    )
    told = {key: (kind, default) for key, kind, default, _ in rows}
    own = {"arms": ('a list of "CLIENT/LOOP"', "must be given"), "name": ("text in quotes", "the file's name")}
    expected = {
        leaf.key: own.get(leaf.key) or (describe(leaf.type), "not set" if leaf.default is None else f"`{toml_value(leaf.default)}`")
        for leaf in leaves(Scenario)
    }
    assert told == expected
    assert list(told) == list(expected)
    assert all(meaning.endswith((".", ")")) for *_, meaning in rows)


def test_the_reference_shows_a_line_that_is_really_given(tmp_path: Path) -> None:
    # the fault line in the reference is what the reader says
    (line,) = re.findall(r"^scenarios/mine.toml:4: (.+)$", (PROJECT / "docs/scenario-reference.md").read_text(), re.MULTILINE)
    assert faults_of(f'\n{ARMS}[sweep]\nrepetitions = "three"', tmp_path) == [f"x.toml:4: {line}"]


def test_reading_a_scenario_imports_no_client() -> None:
    # a wrong scenario is refused at once: no client, loop or numpy is imported to find out
    code = (
        "import sys; from pathlib import Path; from loopdiag.lab.scenario_file import load_scenario; load_scenario(Path('scenarios/pool-limit.toml'));"
        "print([m for m in ('aiohttp', 'httpx', 'uvloop', 'numpy', 'matplotlib', 'granian') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
