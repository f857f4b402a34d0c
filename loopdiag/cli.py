"""The command line: verbs, exit codes, and the only place that prints or exits."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from loopdiag.errors import InputError, LoopdiagError

if TYPE_CHECKING:
    from loopdiag.model.document import Document
    from loopdiag.model.scenario import Scenario
    from loopdiag.progress import TerminalProgress

INTERRUPTED, GATE_HOLDS = 130, 4
LISTS = ("clients", "loops", "servers", "probes", "causes", "formats")


class Parser(argparse.ArgumentParser):
    """An argument parser whose faults are one line."""

    def error(self, message: str) -> NoReturn:
        """Turn a wrong command line into an InputError."""
        raise InputError(f"{self.prog}: {message}; see '{self.prog} --help'")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's) and return its exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        arguments = parser().parse_args(argv)
        code: int = arguments.verb(arguments)
        sys.stdout.flush()
    except LoopdiagError as error:
        for fault in error.faults:
            complain(fault)
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away: nothing is left to say
        return 0
    return code


def _terminated(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def complain(line: str) -> None:
    """Print one line of fault or notice where it does not mix with the answer."""
    print(line, file=sys.stderr)


def parser() -> Parser:
    """The whole command line."""
    top = Parser(
        prog="loopdiag",
        description="Why does the total time of N concurrent requests grow with N? Measured, named, and proved.",
        epilog="Exit codes: 0 done, 2 wrong input, 3 nothing usable measured, 4 --fail-if holds, 130 interrupted.",
    )
    top.add_argument("--version", action="version", version=f"loopdiag {_version()}")
    verbs = top.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    verb = verbs.add_parser("run", help="run a scenario and report: record, diagnose, report")
    _recording_options(verb)
    verb.add_argument(
        "--fail-if", action="append", default=[], metavar="EXPR", help="exit 4 where it holds, e.g. 'httpx/asyncio.slope_ms > 5'"
    )
    verb.add_argument("--no-verify", action="store_true", help="do not verify causes by interventions")
    verb.set_defaults(verb=run)
    verb = verbs.add_parser("record", help="run a scenario's trials, and keep them in a folder")
    _recording_options(verb)
    verb.set_defaults(verb=record)
    verb = verbs.add_parser("diagnose", help="analyse a run's folder again")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument("--fail-if", action="append", default=[], metavar="EXPR")
    verb.set_defaults(verb=diagnose)
    verb = verbs.add_parser("report", help="write a run's report, or print it in another format")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument(
        "--format", help="html, text, json, har, trace-event, svg, folded, speedscope, flamegraph; default: by the ending of -o, else html"
    )
    verb.add_argument("-o", dest="output", type=Path, metavar="FILE", help="where to; '-' is standard output")
    verb.set_defaults(verb=report)
    verb = verbs.add_parser("list", help="list the parts of one kind, and what is unavailable here, and why")
    verb.add_argument("kind", choices=LISTS)
    verb.set_defaults(verb=list_parts)
    verb = verbs.add_parser("check", help="tell what this machine allows, with remedies")
    verb.set_defaults(verb=check)
    verb = verbs.add_parser("serve", help="run the embedded target of a scenario alone")
    verb.add_argument("scenario", type=Path, metavar="SCENARIO.toml")
    verb.add_argument("--port", type=_port, default=0, help="default: a free one")
    verb.set_defaults(verb=serve)
    return top


def _recording_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("scenario", type=Path, metavar="SCENARIO.toml")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to; default: reports/<scenario>-<UTC time>")
    verb.add_argument("--n", metavar="N,N,…", help="values of N instead of the scenario's")
    verb.add_argument("--arm", action="append", metavar="CLIENT/LOOP", help="only this arm; may be repeated")
    verb.add_argument("--budget", metavar="TIME", help="of measuring, e.g. 90s or 2m")
    verb.add_argument("--live", action="store_true", help="allow requests to a server that is not ours")
    verb.add_argument("-q", dest="quiet", action="store_true", help="no progress")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, or 0 for a free one, got {text!r}")
    return int(text)


def _version() -> str:
    from importlib.metadata import version

    return version("loopdiag")


def run(arguments: argparse.Namespace) -> int:
    """`loopdiag run`: record, diagnose, report."""
    from loopdiag import pipeline
    from loopdiag.gate import parse_gate

    gates = [parse_gate(text) for text in arguments.fail_if]
    folder = _record(arguments)
    document = pipeline.diagnose(folder)
    page = pipeline.report(document, folder)
    _print(document)
    print(f"\nreport: {page}")
    if document.recording.interrupted:
        return INTERRUPTED
    pipeline.require_usable(document, folder)
    return _judge(gates, document)


def record(arguments: argparse.Namespace) -> int:
    """`loopdiag record`: the trials alone."""
    from loopdiag.lab import store

    folder = _record(arguments)
    print(folder)
    return INTERRUPTED if store.load(folder).interrupted else 0


def _record(arguments: argparse.Namespace) -> Path:
    from loopdiag import pipeline

    scenario = _scenario(arguments)
    progress = _progress(quiet=arguments.quiet)
    return pipeline.record(scenario, arguments.out, progress=progress, live=arguments.live)


def _scenario(arguments: argparse.Namespace) -> "Scenario":
    from loopdiag.lab.scenario_file import apply_overrides, load_scenario

    scenario = load_scenario(arguments.scenario)
    return apply_overrides(scenario, n=arguments.n, arms=arguments.arm, budget=arguments.budget)


def diagnose(arguments: argparse.Namespace) -> int:
    """`loopdiag diagnose`: analyse again what was recorded."""
    from loopdiag import pipeline
    from loopdiag.gate import parse_gate

    gates = [parse_gate(text) for text in arguments.fail_if]
    document = pipeline.diagnose(arguments.folder)
    _print(document)
    pipeline.require_usable(document, arguments.folder)
    return _judge(gates, document)


def report(arguments: argparse.Namespace) -> int:
    """`loopdiag report`: the page and its figures, or another format."""
    from loopdiag import pipeline
    from loopdiag.lab import store
    from loopdiag.report import FORMATS, format_of

    output: Path | None = arguments.output
    name = arguments.format or (format_of(output) if output is not None and str(output) != "-" else "html")
    FORMATS[name]  # an unknown format is told before the analysis
    document = pipeline.diagnose(arguments.folder)
    if output is None and name == "html":
        print(pipeline.report(document, arguments.folder))
        return 0
    content = pipeline.rendered(document, name)
    if output is None or str(output) == "-":
        _write_out(content)
        return 0
    try:
        store.write(output, content)
    except OSError as error:
        raise InputError(f"-o {output}: cannot be written: {error.strerror}") from error
    return 0


def _write_out(content: str | bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(content if isinstance(content, bytes) else content.encode("utf-8"))


def list_parts(arguments: argparse.Namespace) -> int:
    """`loopdiag list`: the names of one kind, and why some are unavailable here."""
    from loopdiag.parts import parts

    found = list(parts(arguments.kind))
    for name, reason in found:
        print(name if reason is None else f"{name}: unavailable: {reason}")
    if not found:
        complain(f"no {arguments.kind} yet")
    return 0


def check(_arguments: argparse.Namespace) -> int:
    """`loopdiag check`: what this machine allows."""
    from loopdiag.lab.checks import checks

    signs = {True: "ok", False: "no", None: "??"}
    for found in checks():
        print(f"{signs[found.ok]}  {found.name}: {found.found}")
        if found.remedy and found.ok is not True:
            print(f"      {found.remedy}")
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """`loopdiag serve`: the embedded target, until Ctrl-C."""
    import time

    from loopdiag.lab.scenario_file import load_scenario
    from loopdiag.lab.servers.process import TargetServer

    scenario = load_scenario(arguments.scenario)
    if scenario.target.live:
        raise InputError(f"{arguments.scenario}: target.url: names a live server; 'serve' runs the embedded one")
    with TargetServer.start(scenario, port=arguments.port) as server:
        print(f"{server.url}{scenario.target.path}", flush=True)
        if server.ca_file is not None:
            print(f"trust: {server.ca_file}", flush=True)
        while server.alive():
            time.sleep(0.2)
    raise LoopdiagError("the embedded target ended by itself")


def _judge(gates: list, document: "Document") -> int:  # type: ignore[type-arg] # a Gate is imported only where one is given
    code = 0
    for gate in gates:
        holds, unknown = gate.verdict(document.diagnosis)
        for line in (*holds, *unknown):
            complain(f"--fail-if: {line}")
        code = GATE_HOLDS if holds else code
    return code


def _print(document: "Document") -> None:
    import shutil

    from loopdiag.report.text import render_terminal

    terminal = sys.stdout.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((80, 24)).columns if terminal else 80
    print(render_terminal(document, width=width, colour=colour), end="")


def _progress(*, quiet: bool) -> "TerminalProgress | None":
    if quiet:
        return None
    from loopdiag.progress import TerminalProgress

    return TerminalProgress(sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
