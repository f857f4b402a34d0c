"""The command line: verbs, exit codes, and the only place that prints or exits."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from loopdiag.errors import InputError, LoopdiagError, keeping
from loopdiag.options import parse

if TYPE_CHECKING:
    from loopdiag.model.diagnosis import Diagnosis
    from loopdiag.model.document import Document
    from loopdiag.progress import TerminalProgress

INTERRUPTED, GATE_HOLDS = 130, 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's) and return its exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    code = 0
    try:
        arguments = parse(VERBS, sys.argv[1:] if argv is None else argv)
        code = arguments.verb(arguments)
        sys.stdout.flush()
    except LoopdiagError as error:
        for fault in error.faults:
            complain(fault)
        return error.exit_code
    except KeyboardInterrupt as asked:
        complain(": ".join(("interrupted", *asked.args)))
        return INTERRUPTED
    except BrokenPipeError:
        _silence(sys.stdout)
    return code


def _terminated(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def complain(line: str) -> None:
    """Print one line of fault or notice where it does not mix with the answer."""
    print(line, file=sys.stderr)


def say(text: str, end: str = "\n") -> None:
    """Print a part of the answer, in ASCII where standard output knows no other characters."""
    try:
        print(text, end=end)
    except UnicodeEncodeError:
        from loopdiag.report.format import plain_ascii

        print(plain_ascii(text), end=end)
    except BrokenPipeError:
        _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    """Say nothing more there: its reader went away; what was asked for is done all the same."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def run(arguments: argparse.Namespace) -> int:
    """`loopdiag run`: record, diagnose, verify, report."""
    from loopdiag import pipeline

    gates, keep_baseline = _gates(arguments.fail_if), pipeline.keeper(arguments.baseline)
    folder = _record(arguments)
    keep_baseline(folder)
    return _answer(folder, arguments, gates)


def execute(arguments: argparse.Namespace) -> int:
    """`loopdiag exec`: the same for a program of the user's own."""
    from loopdiag import asked, pipeline

    gates, keep_baseline = _gates(arguments.fail_if), pipeline.keeper(arguments.baseline)
    scenario = asked.of_program(
        arguments.command, n=arguments.n, budget=arguments.budget, level=arguments.level, verified=not arguments.no_verify
    )
    folder = pipeline.record(scenario, arguments.out, progress=_progress(quiet=arguments.quiet), live=arguments.live, heard=_pass_on)
    keep_baseline(folder)
    return _answer(folder, arguments, gates)


def _answer(folder: Path, arguments: argparse.Namespace, gates: list) -> int:  # type: ignore[type-arg] # as below
    """Diagnose what was recorded, verify, report, judge."""
    from loopdiag import pipeline

    with keeping(folder):
        document = pipeline.verify(folder, progress=_progress(quiet=arguments.quiet), live=arguments.live)
        _print(document)  # first: it needs no room on a disk
        page = pipeline.report(document, folder)
        if getattr(arguments, "json", None) is not None:
            pipeline.write_diagnosis(document.diagnosis, arguments.json)
        say(f"\nreport: {page}")
        if pipeline.interrupted(document, folder):
            return INTERRUPTED
        pipeline.require_usable(document, folder)
        return _judge(gates, document.diagnosis)


def _pass_on(number: int, piece: bytes) -> None:
    """Let bytes, such as a piece of a program's output, through unchanged: 1 is standard output, 2 standard error."""
    stream = sys.stdout if number == 1 else sys.stderr
    try:
        stream.flush()
        stream.buffer.write(piece)
        stream.buffer.flush()
    except BrokenPipeError:
        _silence(stream)


def record(arguments: argparse.Namespace) -> int:
    """`loopdiag record`: the trials alone."""
    from loopdiag.lab import store

    folder = _record(arguments)
    say(str(folder))
    return INTERRUPTED if store.load(folder).interrupted else 0


def _record(arguments: argparse.Namespace) -> Path:
    from loopdiag import asked, pipeline

    scenario = asked.of_run(arguments, verified=arguments.verb is run)
    return pipeline.record(scenario, arguments.out, progress=_progress(quiet=arguments.quiet), live=arguments.live)


def diagnose(arguments: argparse.Namespace) -> int:
    """`loopdiag diagnose`: analyse again what was recorded."""
    from loopdiag import pipeline

    gates, keep_baseline = _gates(arguments.fail_if), pipeline.keeper(arguments.baseline)
    keep_baseline(arguments.folder)
    document = pipeline.diagnose(arguments.folder)
    _print(document)
    pipeline.require_usable(document, arguments.folder)
    return _judge(gates, document.diagnosis)


def compare(arguments: argparse.Namespace) -> int:
    """`loopdiag compare`: a run beside an earlier one."""
    from loopdiag import pipeline
    from loopdiag.report.text_compare import render_comparison

    gates = _gates(arguments.fail_if)
    diagnosis = pipeline.compare(arguments.before, arguments.after)
    if arguments.json is not None:
        pipeline.write_diagnosis(diagnosis, arguments.json)
    width, colour = _terminal()
    say(render_comparison(diagnosis, width=width, colour=colour), end="")
    return _judge(gates, diagnosis)


def report(arguments: argparse.Namespace) -> int:
    """`loopdiag report`: the page and its figures, or another format."""
    from loopdiag import pipeline
    from loopdiag.report import FORMATS, format_of

    output: Path | None = arguments.output
    name = arguments.format or (format_of(output) if output is not None and str(output) != "-" else "html")
    FORMATS[name]  # an unknown format is told before the analysis
    document = pipeline.diagnose(arguments.folder)
    if output is None and name == "html":
        say(str(pipeline.report(document, arguments.folder)))
        return 0
    content = pipeline.rendered(document, name)
    if output is None or str(output) == "-":
        _pass_on(1, content if isinstance(content, bytes) else content.encode("utf-8"))
        return 0
    pipeline.write_asked("-o", output, content)
    return 0


def list_parts(arguments: argparse.Namespace) -> int:
    """`loopdiag list`: the names of one kind, and why some are unavailable here."""
    from loopdiag.parts import parts

    for name, reason in parts(arguments.kind):
        say(name if reason is None else f"{name}: unavailable: {reason}")
    return 0


def check(_arguments: argparse.Namespace) -> int:
    """`loopdiag check`: what this machine allows."""
    from loopdiag.lab.checks import checks

    signs = {True: "ok", False: "no", None: "??"}
    for found in checks():
        say(f"{signs[found.ok]}  {found.name}: {found.found}")
        if found.remedy and found.ok is not True:
            say(f"      {found.remedy}")
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


def selftest(arguments: argparse.Namespace) -> int:
    """`loopdiag selftest`: planted faults, and what is made of them."""
    from loopdiag.selftest.verb import selftest as planted

    made, text, folder = planted(
        out=arguments.out,
        quick=arguments.quick,
        only=arguments.only,
        budget=arguments.budget,
        verify=not arguments.no_verify,
        again=arguments.again,
        seed=arguments.seed,
        say=(lambda _: None) if arguments.quiet else complain,
    )
    say(text, end="")
    say(f"\nkept in {folder}")
    if made.partial:
        return INTERRUPTED
    return 0 if made.holds else GATE_HOLDS


def _gates(texts: Sequence[str]) -> list:  # type: ignore[type-arg] # as below
    if not texts:
        return []
    from loopdiag.gate import parse_gate
    from loopdiag.parts import parts

    causes = [name for name, _ in parts("causes")]
    return [parse_gate(text, causes) for text in texts]


def _judge(gates: list, diagnosis: "Diagnosis") -> int:  # type: ignore[type-arg] # a Gate is imported only where one is given
    code = 0
    for gate in gates:
        holds, unknown = gate.verdict(diagnosis)
        for line in (*holds, *unknown):
            complain(f"--fail-if: {line}")
        code = GATE_HOLDS if holds else code
    return code


def _print(document: "Document") -> None:
    from loopdiag.report.text import render_terminal

    width, colour = _terminal()
    say(render_terminal(document, width=width, colour=colour), end="")


def _terminal() -> tuple[int, bool]:
    """How many columns standard output has, and whether it shows colours."""
    import shutil

    terminal = sys.stdout.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return shutil.get_terminal_size((80, 24)).columns if terminal else 80, colour


def _progress(*, quiet: bool) -> "TerminalProgress | None":
    if quiet:
        return None
    from loopdiag.progress import TerminalProgress

    return TerminalProgress(sys.stderr)


#: verb → what does it
VERBS = {
    "run": run,
    "exec": execute,
    "record": record,
    "diagnose": diagnose,
    "compare": compare,
    "report": report,
    "list": list_parts,
    "check": check,
    "serve": serve,
    "selftest": selftest,
}
