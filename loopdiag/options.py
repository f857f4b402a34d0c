"""The command line's verbs and options: what may be given, and what each says of itself."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from loopdiag.errors import InputError

LISTS = ("clients", "loops", "servers", "probes", "causes", "formats")
AFTER = "no option of exec; the program's command line stands after --, as in: loopdiag exec --n 25,50,100,200 -- python client.py {n} URL"
Verb = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """An argument parser whose faults are one line."""

    def error(self, message: str) -> NoReturn:
        """Turn a wrong command line into an InputError."""
        raise InputError(f"{self.prog}: {message}; see '{self.prog} --help'")


def parse(does: Mapping[str, Verb], argv: Sequence[str]) -> argparse.Namespace:
    """Parse `argv`; of `exec`, what stands behind the first ``--`` is the program's own command line, whatever it looks like.

    Raises:
        InputError: it is wrong.
    """
    words = list(argv)
    at = words.index("--") if words[:1] == ["exec"] and "--" in words else len(words)
    top = parser(does)
    arguments, rest = top.parse_known_args(words[:at])
    if rest and words[0] == "exec":
        raise InputError(f"loopdiag exec: {' '.join(rest)}: {AFTER}")
    if rest:
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if at < len(words):
        arguments.command = words[at + 1 :]
    return arguments


def parser(does: Mapping[str, Verb]) -> Parser:
    """The whole command line; `does` holds what each verb does."""
    top = Parser(
        prog="loopdiag",
        description="Why does the total time of N concurrent requests grow with N? Measured, named, and proved.",
        epilog="Exit codes: 0 done, 2 wrong input, 3 nothing usable measured, 4 --fail-if holds or selftest's rates do not, 130 interrupted.",
    )
    top.add_argument("--version", action="version", version=f"loopdiag {_version()}")
    verbs = top.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    verb = verbs.add_parser("run", help="run a scenario and report: record, diagnose, verify, report")
    _recording_options(verb)
    verb.add_argument(
        "--fail-if", action="append", default=[], metavar="EXPR", help="exit 4 where it holds, e.g. 'httpx/asyncio.slope_ms > 5'"
    )
    verb.add_argument("--no-verify", action="store_true", help="do not verify causes by interventions")
    _baseline_option(verb)
    verb.set_defaults(verb=does["run"])
    verb = verbs.add_parser("record", help="run a scenario's trials, and keep them in a folder")
    _recording_options(verb)
    verb.set_defaults(verb=does["record"])
    _exec_verb(verbs, does["exec"])
    _reading_verbs(verbs, does)
    verb = verbs.add_parser("list", help="list the parts of one kind, and what is unavailable here, and why")
    verb.add_argument("kind", choices=LISTS)
    verb.set_defaults(verb=does["list"])
    verb = verbs.add_parser("check", help="tell what this machine allows, with remedies")
    verb.set_defaults(verb=does["check"])
    verb = verbs.add_parser("serve", help="run the embedded target of a scenario alone")
    verb.add_argument("scenario", type=Path, metavar="SCENARIO.toml")
    verb.add_argument("--port", type=_port, default=0, help="default: a free one")
    verb.set_defaults(verb=does["serve"])
    _selftest_verb(verbs, does["selftest"])
    return top


def _reading_verbs(verbs: "argparse._SubParsersAction[Parser]", does: Mapping[str, Verb]) -> None:
    verb = verbs.add_parser("diagnose", help="analyse a run's folder again")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument("--fail-if", action="append", default=[], metavar="EXPR")
    _baseline_option(verb)
    verb.set_defaults(verb=does["diagnose"])
    verb = verbs.add_parser("compare", help="compare two runs: slopes, accounts and causes that changed, and by how much at least")
    verb.add_argument("before", type=Path, metavar="A", help="the earlier run's folder, or its diagnosis.json")
    verb.add_argument("after", type=Path, metavar="B", help="the later run's")
    verb.add_argument("--fail-if", action="append", default=[], metavar="EXPR", help="exit 4 where it holds, e.g. 'ratio.low > 1.1'")
    verb.add_argument("--json", type=_file, metavar="FILE", help="write B's diagnosis with the comparison there")
    verb.set_defaults(verb=does["compare"])
    verb = verbs.add_parser("report", help="write a run's report, or print it in another format")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument(
        "--format", help="html, text, json, har, trace-event, svg, folded, speedscope, flamegraph; default: by the ending of -o, else html"
    )
    verb.add_argument("-o", dest="output", type=Path, metavar="FILE", help="where to; '-' is standard output")
    verb.set_defaults(verb=does["report"])


def _selftest_verb(verbs: "argparse._SubParsersAction[Parser]", does: Verb) -> None:
    verb = verbs.add_parser("selftest", help="plant known faults, and count how often the diagnosis names them")
    verb.add_argument("--quick", action="store_true", help="one variant of each cause, and nothing verified")
    verb.add_argument("--only", metavar="PATTERN", help="only rows, or causes, that are called so; * and ? stand for anything")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to; what is done there already is not run again")
    verb.add_argument("--budget", metavar="TIME", help="of all rows together, e.g. 30m, instead of what they are given")
    verb.add_argument("--no-verify", action="store_true", help="do not verify causes by interventions")
    verb.add_argument("--again", action="store_true", help="diagnose again what is recorded in DIR, and run nothing")
    verb.add_argument("--seed", type=_whole, default=1, help="of plans and servers; default: 1")
    verb.add_argument("-q", dest="quiet", action="store_true", help="no progress")
    verb.set_defaults(verb=does)


def _recording_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("scenario", type=Path, metavar="SCENARIO.toml")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to; default: reports/<scenario>-<UTC time>")
    verb.add_argument("--n", metavar="N,N,…", help="values of N instead of the scenario's")
    verb.add_argument("--arm", action="append", metavar="CLIENT/LOOP", help="only this arm; may be repeated")
    verb.add_argument("--budget", metavar="TIME", help="of measuring and, unless --no-verify, verifying together, e.g. 90s or 2m")
    verb.add_argument("--live", action="store_true", help="allow requests to a server that is not ours")
    verb.add_argument("-q", dest="quiet", action="store_true", help="no progress")


def _baseline_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--baseline", type=Path, metavar="DIR|FILE", help="an earlier run, or its diagnosis.json, to compare this one with")


def _exec_verb(verbs: "argparse._SubParsersAction[Parser]", does: Verb) -> None:
    verb = verbs.add_parser(
        "exec",
        help="run your own program at growing N, unmodified, and say why it takes longer",
        usage="loopdiag exec [options] -- PROGRAM ARG… {n} …",
        epilog="{n} in the program's command line is replaced by the number of requests. What it prints in its first run at each N is passed through.",
    )
    verb.add_argument("--n", metavar="N,N,…", default="25,50,100,200", help="numbers of requests; default: %(default)s")
    verb.add_argument("--json", type=_file, metavar="FILE", help="write diagnosis.json there, too")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to; default: reports/<program>-<UTC time>")
    verb.add_argument(
        "--budget", metavar="TIME", default="2m", help="of measuring and, unless --no-verify, verifying together; default: %(default)s"
    )
    verb.add_argument("--no-verify", action="store_true", help="do not verify causes by changing the program from inside")
    verb.add_argument("--fail-if", action="append", default=[], metavar="EXPR", help="exit 4 where it holds, e.g. 'slope_ms > 5'")
    _baseline_option(verb)
    verb.add_argument("--level", choices=("light", "detailed", "deep"), default="light", help="how much is watched; default: %(default)s")
    verb.add_argument("--live", action="store_true", help="allow changes that put more load on a server that is not on this machine")
    verb.add_argument("-q", dest="quiet", action="store_true", help="no progress")
    verb.set_defaults(command=[], verb=does)


def _file(text: str) -> Path:
    """A file to be written: told before anything is measured."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a folder; expected a file")
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no folder {path.parent}")
    return path


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, or 0 for a free one, got {text!r}")
    return int(text)


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 15:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def _version() -> str:
    from importlib.metadata import version

    return version("loopdiag")
