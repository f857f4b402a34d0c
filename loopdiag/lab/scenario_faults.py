"""What the tables of rules cannot say: arms against the registries, addresses, paths, files of tables."""

import csv
import re
import stat
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from loopdiag.errors import InputError
from loopdiag.lab.arm_rules import name_faults, own_faults, pair_faults
from loopdiag.lab.external import faults as external_faults
from loopdiag.lab.rules import judge
from loopdiag.lab.scenario_rules import TABLES
from loopdiag.lab.strict import Fault, show
from loopdiag.model.scenario import Arm, Scenario, Target

TABLE_BYTES = 64 * 2**20
PATH_CHARACTERS = 300  # a path is shown whole
SHIPPED = "pokeapi"


def scenario_faults(scenario: Scenario, wrong: set[str]) -> list[Fault]:
    """Return everything that is wrong between the scenario's keys, but for the files of its tables; `wrong` is known already."""
    return [
        *(_address_faults(scenario.target) if not wrong & {"target", "target.url", "target.path"} else ()),
        *(_arm_faults(scenario, exact=not any(key.startswith("arms[") for key in wrong)) if not _programs(scenario, wrong) else ()),
        *judge(TABLES, scenario, wrong),
    ]


def _programs(scenario: Scenario, wrong: set[str]) -> bool:
    """Whether a program is to be run, whose only arm the tables of rules judge; one that could not be read is one, too."""
    return scenario.program is not None or any(key.partition(".")[0] == "program" for key in wrong)


def _arm_faults(scenario: Scenario, *, exact: bool) -> Iterator[Fault]:
    """Hold the arms against the registries; `exact`: none was left out, so that their places can be told."""
    from loopdiag.lab.clients import CLIENTS
    from loopdiag.lab.loops import LOOPS

    for i, arm in enumerate(scenario.arms):
        key = f"arms[{i}]" if exact else "arms"
        known = True
        for registry, name in ((CLIENTS, arm.client), (LOOPS, arm.loop)):
            if name not in registry:
                known = False
                yield Fault(key, f"unknown {registry.kind} {show(name)}{registry.suggest(name[:60])}")
        if known and arm.client == "fake" and arm.loop != "virtual":
            yield Fault(key, f'the client fake runs on the loop virtual only; expected "fake/virtual", got {show(arm.name)}')
        if known and arm.loop == "virtual" and arm.client != "fake":
            yield Fault(
                key, f'the loop virtual is for the client fake only; expected "{arm.client}/asyncio" or the like, got {show(arm.name)}'
            )
        elif known and not arm.apart:
            yield from (Fault(key, message) for message in pair_faults(arm, scenario))
        yield from (Fault(key, message) for message in name_faults(arm, scenario.arms[:i]))
        if known:
            yield from own_faults(arm, key, exact=exact)
            yield from (Fault(key, message) for message in external_faults(arm, scenario))
        if arm.client in {"httpx", "httpx2", "httpx-sync"} and not arm.apart and scenario.target.http == "2" and not find_spec("h2"):
            yield Fault(key, f'{arm.client} needs the optional part h2 for HTTP/2; run: pip install "loopdiag[http2]"')


def parse_arm(text: str) -> Arm | None:
    """Return the arm that ``CLIENT/LOOP`` names, or None where the text has another form."""
    match = re.fullmatch(r"([^/\s]+)/([^/\s]+)", text)
    return Arm(client=match[1], loop=match[2]) if match else None


def _address_faults(target: Target) -> Iterator[Fault]:
    if target.url is not None:
        yield from (Fault("target.url", message) for message in _url_faults(target.url))
    path = target.path
    if not path.startswith("/"):
        yield Fault("target.path", f'expected a path that starts with "/", got {show(path)}')
    if bad := next((c for c in path if c.isspace() or not c.isprintable()), ""):
        yield Fault("target.path", f"expected a path without blanks and control characters, got {show(path)}; write %{ord(bad):02X}")
    if "#" in path:
        yield Fault("target.path", 'expected a path without "#": what follows it is never sent')
    if re.search(r"[{}]", path.replace("{i}", "")):
        yield Fault("target.path", f"expected no braces but {{i}}, the number of the request, got {show(path)}")


def _url_faults(url: str) -> Iterator[str]:
    """Yield what is wrong with an address; none of it is ever quoted, because it may hold a password."""
    example = 'such as "https://example.org"'
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        yield f"expected an address with a valid host and port, {example}"
        return
    if parts.scheme not in {"http", "https"} or not host:
        yield f"expected http:// or https:// and a host, {example}"
    if "@" in url.partition("//")[2].partition("?")[0]:
        yield "expected no user name or password in the address: a recording would keep them"
    if any(c.isspace() or not c.isprintable() for c in url) or "\\" in url:
        yield "expected an address without blanks, control characters and backslashes"
    if "?" in url or "#" in url:
        yield "expected scheme, host and perhaps a path, without ? and #; a query belongs in target.path"
    if re.search(r"[{}]", url):
        yield "expected no braces; {i}, the number of the request, belongs in target.path"


def resolve_tables(scenario: Scenario, folder: Path, wrong: set[str]) -> tuple[Scenario, list[Fault]]:
    """Return the scenario with the tables that it reads as absolute paths from `folder`, and what is wrong with the files."""
    faults: list[Fault] = []
    target = scenario.target
    for part, column, more in (("service", "ms", None), ("payload", "json_bytes", "gzip_bytes")):
        laws = getattr(target, part)
        key = f"target.{part}.table"
        if laws.law != "table" or laws.table is None or (part == "payload" and laws.table == SHIPPED) or key in wrong:
            continue
        path = folder.absolute() / laws.table
        if fault := _file_fault(path) or _column_fault(path, key, column, more):
            faults.append(Fault(key, fault))
        target = replace(target, **{part: replace(laws, table=str(path))})
    return replace(scenario, target=target), faults


def _file_fault(path: Path) -> str | None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a file name"
        return f"cannot read {show(str(path), PATH_CHARACTERS)}: {reason.lower()}; the path counts from the scenario's folder"
    if not stat.S_ISREG(status.st_mode):
        return f"{show(str(path), PATH_CHARACTERS)} is not a file; expected a CSV file"
    if status.st_size > TABLE_BYTES:
        return f"{show(str(path), PATH_CHARACTERS)} is larger than {TABLE_BYTES >> 20} MiB"
    return None


def _column_fault(path: Path, key: str, column: str, more: str | None) -> str | None:
    """Read the table as the embedded target will; return the first thing that is wrong with it."""
    from loopdiag.lab.servers.tables import read_columns

    try:
        read_columns(str(path), key, required=column, optional=more)
    except InputError as error:
        more_faults = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
        return error.faults[0].removeprefix(f"{key}: ") + more_faults
    except csv.Error as error:
        return f"{show(str(path), PATH_CHARACTERS)} is not CSV: {error}"
    return None
