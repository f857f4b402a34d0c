"""The whole way, on real processes: record, diagnose, verify, and the same answer again from the folder alone."""

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from lab_parts import FAKE, scenario
from msgspec.structs import replace
from test_campaign import Watch
from verify_parts import NS, points_of, recorded

from loopdiag import pipeline
from loopdiag.causes import CAUSES, Cause
from loopdiag.causes.judging import judge
from loopdiag.cli import main
from loopdiag.model.diagnosis import CauseFound, Diagnosis
from loopdiag.model.law import Estimate
from loopdiag.model.recording import TrialSpec
from loopdiag.model.scenario import Arm, Fake, Instruments, Pool, Profiling, Scenario, Service, Sweep, Target, Verification
from loopdiag.registry import Registry
from loopdiag.verify import Hypotheses, record
from loopdiag.verify import judged as judging

SHORT = Sweep(n=(4, 8, 16), repetitions=1, max_repetitions=1, warmups=0, budget_s=600)
LIMITED = scenario(
    FAKE,
    target=Target(service=Service(mean_ms=50)),
    pool=Pool(limit=2),
    fake=Fake(cpu_us=100, noise=0.002),
    sweep=SHORT,
    verify=Verification(budget_s=600, values=3),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the limited fake client, with timelines; tests work on copies."""
    return pipeline.record(LIMITED, tmp_path_factory.mktemp("limited") / "run")


def copy(folder: Path, there: Path) -> Path:
    """A copy of a run's folder."""
    return shutil.copytree(folder, there, dirs_exist_ok=True)


def found(diagnosis: Diagnosis, arm: str = FAKE.name) -> dict[str, CauseFound]:
    """Cause by name."""
    return {cause.cause: cause for each in diagnosis.arms if each.arm == arm for cause in each.causes}


def test_a_limit_that_binds_is_confirmed_by_raising_it(run: Path, tmp_path: Path) -> None:
    # the fake client behind a pool of 2: the limit is named, confirmed, and prescribed; the folder alone tells it again, to the byte
    folder, watch = copy(run, tmp_path), Watch()
    document = pipeline.verify(folder, progress=watch)
    cause = found(document.diagnosis)["client_pool_limit"]
    assert cause.verdict == "CONFIRMED", cause
    assert cause.base is not None
    assert cause.effect is not None
    assert cause.base.value == pytest.approx(25, rel=0.1)  # 50 ms for every two
    assert cause.effect.value < 1
    (arm,) = document.diagnosis.arms
    assert arm.prescription is not None
    assert arm.prescription.toml_diff.splitlines()[:2] == [" [pool]", "-limit = 2"]
    assert arm.prescription.speedup > 10
    assert "because of client_pool_limit" in document.diagnosis.answer
    assert "CONFIRMED" in document.diagnosis.answer
    assert watch.etas[0] == 600
    assert watch.over
    said = (folder / "diagnosis.json").read_bytes()
    again = pipeline.diagnose(folder)
    assert again.diagnosis == document.diagnosis
    assert (folder / "diagnosis.json").read_bytes() == said
    assert pipeline.verify(folder).diagnosis == document.diagnosis  # what was tried is not run again
    (attempt,) = record.load(folder).attempts  # type: ignore[union-attr] # it was just written
    treated = pipeline.diagnose(folder / attempt.folder / "treated")
    assert treated.recording.scenario.pool.limit != 2
    assert not pipeline.interrupted(document, folder)


def test_an_interrupted_verification_is_partial(run: Path, tmp_path: Path) -> None:
    # Ctrl-C while verifying: what was measured stands, causes without a verdict say why, and the run counts as interrupted
    def started(spec: TrialSpec) -> None:
        if spec.repetition == 0:
            raise KeyboardInterrupt

    folder = copy(run, tmp_path)
    document = pipeline.verify(folder, progress=Watch(started=started))
    assert pipeline.interrupted(document, folder)
    assert document.diagnosis.partial
    assert any("verification was interrupted" in line for line in document.diagnosis.warnings)
    cause = found(document.diagnosis)["client_pool_limit"]
    assert cause.verdict == "INCONCLUSIVE"
    assert "interrupted" in cause.why


class Broken:
    """A cause with a defect."""

    name, needs = "broken", frozenset[str]()

    def attribute(self, evidence: object) -> None:
        """Fail."""
        raise RuntimeError(f"no {type(evidence).__name__} is good enough")


BROKEN = Broken()


def test_a_cause_that_fails_costs_nothing_else(run: Path, tmp_path: Path) -> None:
    # an exception in one cause is a warning; the others are judged, and the report is written
    causes = Registry[Cause]("cause", {**CAUSES._table, "broken": f"{__name__}:BROKEN"})
    asked = Hypotheses(causes=causes, judge=lambda seen: judge(seen, causes), again=judging.again)
    document = judging.analysed(copy(run, tmp_path), hypotheses=asked).told(None)
    assert any("the cause broken failed: RuntimeError: no Evidence is good enough" in line for line in document.diagnosis.warnings)
    assert "client_pool_limit" in found(document.diagnosis)
    assert pipeline.report(document, tmp_path).stat().st_size > 0


def test_two_values_of_n_still_give_a_report(tmp_path: Path) -> None:
    # a sweep of two N: no law, which is said; slope, causes and verdicts as far as they carry
    made = replace(LIMITED, sweep=replace(SHORT, n=(4, 8)))
    recorded(tmp_path, made, {n: [0.05 * n / 2 + 0.0001 * n] * 2 for n in (4, 8)})
    document = pipeline.diagnose(tmp_path)
    (arm,) = document.diagnosis.arms
    assert "5 values of N (have 2)" in (arm.law.note or "")
    assert pipeline.report(document, tmp_path).stat().st_size > 0


@pytest.mark.parametrize("hole", ["column", "table"])
def test_a_recording_with_a_hole_still_gives_a_report(run: Path, tmp_path: Path, hole: str) -> None:
    # a timeline table without a column, or that is no table at all: the law and the slope stand, and what is missing is said
    folder = copy(run, tmp_path)
    for path in folder.glob("trials/*timeline*/attempts.npy"):
        if hole == "table":
            path.write_bytes(b"no table")
        else:
            rows = np.load(path)
            np.save(path, rows[[name for name in rows.dtype.names if name != "enqueued"]])
    document = pipeline.diagnose(folder)
    (arm,) = document.diagnosis.arms
    assert arm.slope_ms is not None
    if hole == "table":
        assert any("its timeline cannot be read" in line for line in document.diagnosis.warnings)
    else:
        said = (*document.diagnosis.warnings, *document.diagnosis.not_observed, *(note for each in document.ledgers for note in each.notes))
        assert said
    assert pipeline.report(document, folder).stat().st_size > 0


def test_verification_that_is_off_runs_nothing(tmp_path: Path) -> None:
    # verify.enabled = false, or an interrupted run: no folder, no verdicts
    recorded(tmp_path / "off", replace(LIMITED, verify=Verification(enabled=False)), points_of(2.0, NS, 2))
    recorded(tmp_path / "cut", LIMITED, points_of(2.0, NS, 2), interrupted=True, partial=True)
    for name in ("off", "cut"):
        pipeline.verify(tmp_path / name)
        assert not (tmp_path / name / "verify").exists()


def test_a_whole_budget_is_shared() -> None:
    # in the scenario's own proportion; measuring gets two fifths at least
    asked = replace(LIMITED, sweep=replace(SHORT, budget_s=60), verify=Verification(budget_s=60))

    def parts(asked: Scenario, whole: float) -> tuple[float, float]:
        made = pipeline.shared(replace(asked, sweep=replace(asked.sweep, budget_s=whole)), asked)
        return made.sweep.budget_s, made.verify.budget_s

    assert parts(asked, 40) == (pytest.approx(20), pytest.approx(20))
    assert parts(replace(asked, verify=Verification(budget_s=600)), 40) == (pytest.approx(16), pytest.approx(24))
    off = replace(asked, verify=Verification(enabled=False))
    assert pipeline.shared(off, off) == off


TOML = """
name = "limited"
arms = ["fake/virtual"]
[target.service]
mean_ms = 50
[pool]
limit = 2
[sweep]
n = [4, 8, 16]
repetitions = 1
max_repetitions = 1
warmups = 0
budget_s = 60
[verify]
values = 2
"""


def test_the_command_line_verifies_unless_told_not_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # `run` gives verdicts and lets --fail-if reach causes; --no-verify gives the causes alone; a cause that does not exist is a user's mistake
    (tmp_path / "limited.toml").write_text(TOML)
    quick = ["run", str(tmp_path / "limited.toml"), "-q", "--no-verify", "--out"]
    gate = ["--fail-if", "fake/virtual.causes.client_pool_limit.share > 0.5"]
    assert main([*quick, str(tmp_path / "quick"), *gate]) == 4
    assert "causes.client_pool_limit.share is" in capsys.readouterr().err
    answer = json.loads((tmp_path / "quick" / "diagnosis.json").read_bytes())
    assert {cause["verdict"] for cause in answer["arms"][0]["causes"]} == {"NOT_TRIED"}
    assert not (tmp_path / "quick" / "verify").exists()
    assert main([*quick, str(tmp_path / "typo"), "--fail-if", "causes.client_pol_limit.share > 0.5"]) == 2
    assert "there is no cause 'client_pol_limit'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_pool_limit_is_confirmed(tmp_path: Path) -> None:
    # aiohttp with 5 connections and a server that thinks for 50 ms: named, predicted and confirmed on real processes
    made = scenario(
        Arm(client="aiohttp"),
        target=Target(service=Service(mean_ms=50)),
        pool=Pool(limit=5),
        sweep=Sweep(n=(10, 20, 40, 80), repetitions=2, max_repetitions=2, warmups=0, budget_s=60),
        verify=Verification(budget_s=90, values=3),
        profile=Profiling(enabled=False),
        instruments=Instruments(),
    )
    folder = pipeline.record(made, tmp_path / "run")
    document = pipeline.verify(folder)
    cause = found(document.diagnosis, "aiohttp/asyncio")["client_pool_limit"]
    assert cause.verdict == "CONFIRMED", cause
    assert cause.effect is not None
    assert cause.base is not None
    assert cause.effect.value < cause.base.value / 3
    assert isinstance(cause.predicted, Estimate)


def test_judgements_carry_over_from_a_document(run: Path, tmp_path: Path) -> None:
    # what was diagnosed before is not read again, and says the same
    folder = copy(run, tmp_path)
    document = pipeline.diagnose(folder)
    from_folder, from_document = judging.analysed(folder), judging.analysed(folder, document)
    assert {arm: said.found for arm, said in from_folder.judged.items()} == {arm: said.found for arm, said in from_document.judged.items()}
    assert msgspec.json.encode(from_document.told(None).diagnosis) == msgspec.json.encode(document.diagnosis)
