"""Reports of a user's own program: it is called by its own name, its command line shows nothing secret, and T is told as what it is."""

import documents
import pytest
from msgspec.structs import replace

from loopdiag.model.comparison import ArmComparison, Comparison
from loopdiag.model.diagnosis import CauseFound, Prescription
from loopdiag.model.document import Document
from loopdiag.model.law import Estimate
from loopdiag.model.program import RUNNER, Place, called
from loopdiag.model.scenario import Arm, Program
from loopdiag.report import FORMATS, accounts, content, har, html, naming, programs, text

ARM = "program/own"
ARGV = ("/home/me/.venv/bin/python", "/home/me/work/client.py", "{n}", "http://me:pw@127.0.0.1:80/a?token=1")


def measured(argv: tuple[str, ...] = ARGV, *, span: str = "loop") -> Document:
    """The small document as if one program had been measured."""
    document = documents.small()
    arm = document.diagnosis.arms[0]
    old = arm.arm
    versions = {"python": "3.12.1", "aiohttp": "3.14.5"}
    arm = replace(arm, arm=ARM, label=called(argv), client="aiohttp", loop="uvloop", versions=versions, server_utilisation=None)
    made = Arm(client="program", loop="own")
    trials = tuple(
        replace(trial, spec=replace(trial.spec, arm=made), span=span, process_s=(trial.total_s or 0) + 0.4, peers=("127.0.0.1",))
        for trial in document.recording.trials
        if trial.spec.arm.name == old
    )
    skipped = tuple(replace(cell, arm=ARM, why=cell.why.replace(old, ARM)) for cell in document.diagnosis.not_measured if cell.arm == old)
    diagnosis = replace(document.diagnosis, arms=(arm,), not_measured=skipped, overhead=(), witness=(), warnings=(f"{ARM}: hot",))
    scenario = replace(document.recording.scenario, arms=(made,), program=Program(argv=argv))
    return replace(
        document,
        diagnosis=diagnosis,
        recording=replace(document.recording, scenario=scenario, trials=trials, skipped=skipped),
        timelines=tuple(replace(line, arm=ARM) for line in document.timelines if line.arm == old),
        ledgers=tuple(replace(each, arm=ARM) for each in document.ledgers if each.arm == old),
        flames=(),
        profiles=(),
        top={ARM: document.top[old]} if old in document.top else {},
    )


@pytest.mark.parametrize(("argv", "name"), [
    (("python", "client.py", "{n}"), "client.py"),
    (("/usr/bin/python3.12", "-X", "dev", "/a/b/get.py"), "get.py"),
    (("python", "-m", "package.tool", "{n}"), "package.tool"),
    (("env", "N={n}", "fetch", "-v"), "fetch"),
    (("/opt/bin/fetch", "{n}"), "fetch"),
    (("python", f"/x/{RUNNER}", "[]", "test_client", "/a/client.py", "fetch", "{n}"), "client.py:fetch"),
    ((), ""),
])  # fmt: skip
def test_a_program_is_called_by_its_own_name(argv: tuple[str, ...], name: str) -> None:
    # its script, its module, or the command
    assert called(argv) == name


def test_no_report_calls_it_by_the_arm_whose_place_it_takes() -> None:
    # text and page name the program wherever a scenario's arm would be named
    document = measured()
    for shown in (text.render(document), text.render_terminal(document, width=60, colour=False), html.render(document)):
        assert ARM not in shown
        assert "client.py" in shown


def test_the_report_tells_what_was_run_and_seen() -> None:
    # its command line stands under the answer, with library, loop and Python
    told = " ".join(text.render(measured()).split())
    assert "python work/client.py {n} http://127.0.0.1:80/a?token=REDACTED · aiohttp 3.14.5 on uvloop, CPython 3.12.1" in told
    assert "server used" not in told


@pytest.mark.parametrize(("word", "shown"), [
    (("--token", "abc"), "--token REDACTED"),
    (("API_KEY=abc",), "API_KEY=REDACTED"),
    (("--token=abc", "{n}"), "--token=REDACTED {n}"),
    (("--auth-header", "Bearer abc"), "--auth-header REDACTED"),
    (("-H", "Authorization: Bearer abc"), "-H 'Authorization: REDACTED'"),
    (("-u", "me:pw", "--keyword", "b"), "-u REDACTED --keyword b"),
    (("{n}", "https://u:p@h/a?q=1&key=2#x"), "{n} https://h/a?q=REDACTED&key=REDACTED#x"),
    (("--url=https://u:p@h/a?q=1",), "--url=https://h/a?q=REDACTED"),
    (("-c", "get('http://u:p@h/?a=b', token='abc')"), """-c 'get(\\'http://h/?a=REDACTED\\', token="REDACTED")'"""),
    (("/home/me/data/urls.txt", "--out=/home/me/data/out"), "data/urls.txt --out=data/out"),
    (("two words", ""), "'two words' ''"),
    (("http://u:p@[broken",), "http://[broken"),
])  # fmt: skip
def test_a_command_line_shows_nothing_secret(word: tuple[str, ...], shown: str) -> None:
    # no credentials, no values of queries, no folders of this machine
    assert programs.command(measured(("python", "client.py", *word))) == f"python client.py {shown}"


def test_a_tests_function_shows_what_it_was_given_alone() -> None:
    # not the folders by which it is imported
    argv = (
        "/usr/bin/python3",
        f"/x/{RUNNER}",
        '["/home/me/tests"]',
        "test_client",
        "/home/me/tests/client.py",
        "fetch",
        "{n}",
        "http://h/{i}?a=b",
    )
    assert programs.command(measured(argv)) == "client.py:fetch {n} http://h/{i}?a=REDACTED"


def telling() -> Document:
    """A program whose line, failure and warning hold a password, as lines and messages do."""
    line = 'session.get("https://me:hunter2@h/a?key=hunter2", headers={"X-Token": "hunter2"})'
    said = "exit code 1: 401, message='No', url='https://h/a?key=hunter2'"
    document = measured(("python", "client.py", "{n}", "--password=hunter2", "--url=http://me:hunter2@h/"))
    cause = CauseFound(cause="client_semaphore", share=0.9, place=Place(file="client.py", line=3, text=line), why=said, changes=(line,))
    gained = Prescription(changes=(f"in client.py:3 `{line}`: do less",), slope_ms=Estimate(value=1.0), speedup=2.0)
    arm = replace(document.diagnosis.arms[0], causes=(cause,), prescription=gained)
    failed = replace(document.recording.trials[0], status="failed", why=said)
    return replace(
        document,
        diagnosis=replace(document.diagnosis, arms=(arm,), warnings=(said,)),
        recording=replace(document.recording, trials=(failed, *document.recording.trials)),
    )


@pytest.mark.parametrize("form", list(FORMATS))
def test_no_export_tells_what_a_programs_lines_and_messages_hold_in_secret(form: str) -> None:
    # neither credentials nor values of queries nor what a line gives to a token leave the run's folder
    made = FORMATS[form](naming.named(telling()))
    assert "hunter2" not in (made if isinstance(made, str) else made.decode())
    if form in {"text", "html", "json"}:
        assert "REDACTED" in made


def test_errors_that_nobody_counted_are_not_0() -> None:
    # what fails inside a program is not seen: a dash in the text and on the page
    document = measured()
    document = replace(document, diagnosis=replace(document.diagnosis, arms=(replace(document.diagnosis.arms[0], errors={}),)))
    assert content.arm_rows(document)[0].errors == "–"
    assert "– errors" in text.render_terminal(document, width=60, colour=False)
    assert '<span class="alert">–</span>' not in html.render(document)


def test_what_is_not_recorded_of_a_programs_requests_is_not_made_up() -> None:
    # in the archive a request has neither an address nor a method that nobody saw
    made = har.render(measured())
    assert '"url":"http://not-recorded.invalid/1"' in made
    assert '"method":"not-recorded"' in made
    assert "localhost" not in made


def test_t_is_told_as_what_it_is() -> None:
    # of a program from loop to loop, with the process's time beside it; without a loop, of all of it; of a scenario as ever
    assert programs.timed(documents.small()).startswith("T: first task created")
    assert programs.timed(measured()).startswith(
        "T: start of the program's first event loop to the end of its last one, bare trials; at N = "
    )
    assert "of the process's" in programs.timed(measured())
    assert "it runs no event loop" in programs.timed(measured(span="process"))
    for span, said in (("loop", "loop"), ("process", "client")):
        document = measured(span=span)
        assert accounts.inside(document, document.diagnosis.arms[0]) == said


def test_a_scenarios_document_stays_as_it_is() -> None:
    # nothing is renamed where no arm has a label
    document = documents.small()
    assert naming.named(document) is document


def test_both_runs_of_a_comparison_go_by_their_labels() -> None:
    # each side by its own
    diagnosis = measured().diagnosis
    (arm,) = diagnosis.arms
    made = Comparison(
        before="old", after="", arms=(ArmComparison(arm=ARM, before_arm=ARM, ns=(), before_ms=None, after_ms=None),), only_before=("x/y",)
    )
    compared = naming.relabelled(replace(diagnosis, baselines=(replace(arm, label="old.py"),), comparison=made)).comparison
    assert compared is not None
    assert [(each.arm, each.before_arm) for each in compared.arms] == [("client.py", "old.py")]
    assert compared.only_before == ("x/y",)
