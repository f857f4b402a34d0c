"""How rows are scored and counted, on hand-made diagnoses."""

import documents
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loopdiag.model.diagnosis import ArmDiagnosis, CauseFound, Diagnosis, LedgerEntry, Verdict
from loopdiag.model.law import Estimate
from loopdiag.selftest.matrix import WIDTH, render
from loopdiag.selftest.plants import ROWS
from loopdiag.selftest.rates import NOMINAL, Rate, confusion, quantile, rates, summary, wilson
from loopdiag.selftest.row import Kind, Row
from loopdiag.selftest.scoring import Outcome, Prediction, Score, broken, not_run, same, score


def row(
    kind: Kind = "single", truth: tuple[str, ...] = ("cpu_in_loop",), *, accept: tuple[str, ...] = (), planted_ms: float | None = None
) -> Row:
    name = f"{kind}-{'-'.join(truth)}"
    return Row(
        name=name, kind=kind, truth=truth, accept=accept, planted_ms=planted_ms, arm="aiohttp/asyncio", n=(1, 8), keys=(), why="for a test"
    )


def found(cause: str, share: float | None = 0.5, verdict: Verdict = "NOT_TRIED") -> CauseFound:
    return CauseFound(cause=cause, share=share, verdict=verdict)


def diagnosed(*causes: CauseFound, ledger: tuple[LedgerEntry, ...] = ()) -> Diagnosis:
    made = documents.small().diagnosis
    slope = Estimate(value=4.0, low=3.8, high=4.2)
    return replace(made, arms=(replace(made.arms[0], causes=causes, ledger=ledger, slope_ms=slope),))


CPU, BLOCK, LOOP, NONE = (found(name) for name in ("cpu_in_loop", "blocking_call", "event_loop_saturated", "none"))
PAIR = ("cpu_in_loop", "blocking_call")


@pytest.mark.parametrize(
    ("made", "causes", "outcome"),
    [
        # a single is right where its cause comes first, whatever follows
        (row(), (CPU, LOOP), "right"),
        (row(), (LOOP, CPU), "wrong"),
        (row(accept=("event_loop_saturated",)), (LOOP, CPU), "right"),
        # a struck cause is no answer
        (row(), (found("blocking_call", 0.9, "REFUTED"), CPU), "right"),
        (row(), (found("cpu_in_loop", 0.9, "REFUTED"), LOOP), "wrong"),
        # to say nothing is to abstain; to call it healthy is wrong
        (row(), (), "abstained"),
        (row(), (found("cpu_in_loop", 0.9, "REFUTED"),), "abstained"),
        (row(), (NONE,), "wrong"),
        # a pair is right where both are named with weight, in any order, among others
        (row("pair", PAIR), (BLOCK, LOOP, CPU), "right"),
        (row("pair", PAIR), (BLOCK,), "wrong"),
        (row("pair", PAIR), (BLOCK, found("cpu_in_loop", 0.09)), "wrong"),
        (row("pair", PAIR), (BLOCK, found("cpu_in_loop", 0.09, "CONFIRMED")), "right"),
        (row("pair", PAIR), (BLOCK, found("cpu_in_loop", 0.6, "REFUTED")), "wrong"),
        (row("pair", PAIR), (), "abstained"),
        # a control is right unless something is named with weight, or confirmed, that is not its truth
        (row("control", ("none",)), (), "right"),
        (row("control", ("none",)), (NONE,), "right"),
        (row("control", ("none",)), (found("client_pool_limit", 0.09),), "right"),
        (row("control", ("none",)), (found("client_pool_limit", 0.10),), "wrong"),
        (row("control", ("none",)), (found("client_pool_limit", None, "CONFIRMED"),), "wrong"),
        (row("control", ("none",)), (found("client_pool_limit", 0.9, "REFUTED"),), "right"),
        (row("control", ("event_loop_saturated",), accept=("none",)), (LOOP, NONE), "right"),
        (row("control", ("event_loop_saturated",)), (LOOP, CPU), "wrong"),
    ],
)
def test_an_answer_is_held_to_the_truth(made: Row, causes: tuple[CauseFound, ...], outcome: Outcome) -> None:
    # as the comments beside the rows say
    assert score(made, diagnosed(*causes)).outcome == outcome


def test_what_is_missing_and_what_is_too_much_is_told() -> None:
    # a pair's missing cause, and names with weight that nobody planted
    made = score(row("pair", PAIR), diagnosed(found("cpu_in_loop"), found("gc_pauses", 0.2), found("dns_resolution", 0.05)))
    assert (made.first, made.named, made.missing, made.alarms) == (
        "cpu_in_loop",
        ("cpu_in_loop", "gc_pauses"),
        ("blocking_call",),
        ("gc_pauses",),
    )


def test_without_a_slope_nothing_is_scored() -> None:
    # a row that was not measured is no miss, and says why
    bare = diagnosed()
    made = score(
        row(), replace(bare, arms=(replace(bare.arms[0], slope_ms=None, failed={"timeout": 3}, law=replace(bare.arms[0].law, note=None)),))
    )
    assert (made.outcome, made.why) == ("not run", "3 × timeout")
    assert score(row(), replace(bare, arms=(), warnings=("the target died",))).why == "the target died"


def test_predictions_stand_beside_effects() -> None:
    # of each cause that was tried, struck ones too; the error counts in parts of the slope before, which is the interleaved base where there is one
    tried = CauseFound(
        cause="cpu_in_loop",
        share=0.5,
        verdict="CONFIRMED",
        predicted=Estimate(value=2.0, low=1.8, high=2.2),
        effect=Estimate(value=2.5, low=2.2, high=2.8),
    )
    struck = replace(tried, cause="gc_pauses", verdict="REFUTED", base=Estimate(value=5.0), effect=Estimate(value=5.0, low=4.9, high=5.1))
    made = score(row(), diagnosed(tried, struck, found("none")))
    assert made.predictions == (
        Prediction(cause="cpu_in_loop", predicted_ms=2.0, effect_ms=2.5, base_ms=4.0, verdict="CONFIRMED", covered=False),
        Prediction(cause="gc_pauses", predicted_ms=2.0, effect_ms=5.0, base_ms=5.0, verdict="REFUTED", covered=False),
    )
    assert [prediction.error for prediction in made.predictions] == [0.125, 0.6]


@pytest.mark.parametrize(
    ("predicted", "effect", "covered"),
    [
        (Estimate(value=2.0, low=1.7, high=2.3), Estimate(value=2.4, low=2.0, high=2.8), True),  # 0.4 apart; √(0.3² + 0.4²) = 0.5
        (Estimate(value=2.8, low=2.4, high=3.2), Estimate(value=2.2, low=1.9, high=2.5), False),  # 0.6 apart, and 0.5 again
        (Estimate(value=2.0), Estimate(value=2.0, low=1.9, high=2.1), None),
    ],
)
def test_agreement_counts_both_intervals(predicted: Estimate, effect: Estimate, covered: bool | None) -> None:
    # two estimates agree where their difference lies within its own interval
    tried = replace(found("cpu_in_loop"), predicted=predicted, effect=effect)
    (prediction,) = score(row(), diagnosed(tried)).predictions
    assert prediction.covered is covered


@pytest.mark.parametrize(("planted_ms", "covered"), [(2.0, True), (1.5, False), (2.5, False), (None, None)])
def test_the_planted_size_lies_in_the_causes_interval(planted_ms: float | None, covered: bool | None) -> None:
    # the bounds of the share, in ms of the slope, are held to what was planted
    claim = replace(found("cpu_in_loop", 0.5), slope_ms=2.0, low=0.45, high=0.55)
    assert score(row(planted_ms=planted_ms), diagnosed(claim)).planted_covered is covered


def test_the_unexplained_share_is_taken_without_its_sign() -> None:
    # an account that shrinks with N explains as little as one that grows
    ledger = (LedgerEntry(account="unexplained", slope_ms=-0.2, share=-0.05), LedgerEntry(account="server", slope_ms=4.2, share=1.05))
    assert score(row(), diagnosed(CPU, ledger=ledger)).unexplained == 0.05
    assert score(row(), diagnosed(CPU)).unexplained is None


# -- rates


def test_wilson_intervals_are_those_of_the_textbook() -> None:
    # Wilson's interval, without continuity correction
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 8) == pytest.approx((0.0, 0.3244), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_wilson_intervals_hold_the_rate(pair: tuple[int, int]) -> None:
    # inside 0 … 1, around the rate, and mirrored
    low, high = wilson(*pair)
    hits, of = pair
    assert 0 <= low <= hits / of <= high <= 1
    assert wilson(of - hits, of) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(st.lists(st.floats(0, 10), min_size=1), st.floats(0, 1))
def test_quantiles_lie_between_the_values(values: list[float], share: float) -> None:
    # never outside, and the ends are the least and the most
    assert min(values) <= quantile(values, share) <= max(values)
    assert (quantile(values, 0), quantile(values, 1)) == (min(values), max(values))


def rate_of(scores: list[Score], what: str) -> Rate:
    return next(rate for rate in rates(scores) if what in rate.what)


def scores(kind: Kind, right: int, wrong: int = 0, abstained: int = 0) -> list[Score]:
    outcomes: list[Outcome] = ["right"] * right + ["wrong"] * wrong + ["abstained"] * abstained
    return [Score(row=row(kind, PAIR if kind == "pair" else ("cpu_in_loop",)), outcome=outcome) for outcome in outcomes]


@pytest.mark.parametrize(
    ("what", "made", "hits", "holds"),
    [
        ("first answer right", scores("single", 19, 1), 19, True),
        ("first answer right", scores("single", 18, 1, 1), 18, False),  # an abstention is not right, either
        ("both named", scores("pair", 8, 2), 8, True),
        ("both named", scores("pair", 7, 3), 7, False),
        ("false alarm", scores("control", 10), 0, True),
        ("false alarm", scores("control", 49, 1), 1, True),
        ("false alarm", scores("control", 9, 1), 1, False),
        ("abstained", scores("single", 3, 0, 1) + scores("pair", 1, 0, 1) + scores("control", 2), 2, None),
        ("A/A pair", [same(row("same", ()), verdict) for verdict in ("REFUTED",) * 7 + ("CONFIRMED",)], 1, True),
        ("A/A pair", [same(row("same", ()), verdict) for verdict in ("INCONCLUSIVE",) * 5 + ("CONFIRMED",) * 3], 3, False),
    ],
)
def test_rates_are_held_to_what_is_asked(what: str, made: list[Score], hits: int, holds: bool | None) -> None:
    # counts, and whether they are good enough; of A/A pairs, whether chance explains them
    rate = rate_of(made, what)
    assert (rate.hits, rate.holds) == (hits, holds)


def test_what_was_not_measured_neither_holds_nor_fails() -> None:
    # no rate is made of nothing, and rows that were not run count nowhere
    made = rates([not_run(row(), "httpx2 is not installed")])
    assert {rate.holds for rate in made} == {None}
    assert {rate.of for rate in made} == {0}


@pytest.mark.parametrize(
    ("errors", "median", "p90"),
    [((0.05,) * 8 + (0.2, 0.2), True, True), ((0.11,) * 10, False, True), ((0.0,) * 8 + (0.9,) * 2, True, False)],
)
def test_predictions_are_held_to_their_quantiles(errors: tuple[float, ...], median: bool, p90: bool) -> None:
    # the median error, and the 90th percentile
    made = [Prediction(cause="x", predicted_ms=1 + error, effect_ms=1.0, base_ms=1.0, verdict="CONFIRMED") for error in errors]
    scored = [Score(row=row(), outcome="right", predictions=tuple(made))]
    assert rate_of(scored, "median error").holds is median
    assert rate_of(scored, "90th percentile").holds is p90


def test_the_unexplained_is_held_to_its_quantiles() -> None:
    # median and 95th percentile over all rows that have a ledger
    scored = [Score(row=row(), outcome="right", unexplained=share) for share in (0.01,) * 9 + (0.3,)]
    assert rate_of(scored, "slope, median").holds is True
    assert rate_of(scored, "slope, 95th").holds is False


def test_the_matrix_counts_first_answers() -> None:
    # singles by their cause, controls together; no answer is a column of its own, with those called healthy
    answers = ["cpu_in_loop", "cpu_in_loop", None, "none"]
    made = [Score(row=row(), outcome="right", first=first) for first in answers]
    made += [Score(row=row("control", ("none",)), outcome="right", first="event_loop_saturated"), *scores("pair", 1)]
    assert confusion(made) == {"cpu_in_loop": {"cpu_in_loop": 2, "none": 2}, "(control)": {"event_loop_saturated": 1}}


def test_a_broken_diagnosis_is_a_miss() -> None:
    # of a single it is no right answer, of a control an alarm
    assert rate_of([broken(row(), "ZeroDivisionError: x")], "first answer right").hits == 0
    assert rate_of([broken(row("control", ("none",)), "ZeroDivisionError: x")], "false alarm").hits == 1


# -- text


def everything() -> list[Score]:
    """A score of every row of the table, most of them right, some of each fate."""
    made = [
        Score(
            row=each,
            outcome="right",
            first=(each.truth or ("none",))[0],
            verdict="INCONCLUSIVE" if each.kind == "same" else None,
            unexplained=0.02,
        )
        for each in ROWS
    ]
    made[0] = replace(
        made[0], outcome="wrong", first="nagle_delayed_ack", named=("nagle_delayed_ack", "server_cpu"), folder="/somewhere/" + "long/" * 30
    )
    made[1] = replace(made[1], outcome="abstained", first=None)
    made[2] = not_run(made[2].row, "nothing usable was measured; " + "and so on " * 20)
    made[3] = broken(made[3].row, "KeyError: 'x'", "/somewhere")
    return made


def test_the_text_stays_within_its_columns() -> None:
    # 100 columns, but for a folder's name, which nobody breaks
    text = render(summary(everything(), partial=True))
    assert [line for line in text.splitlines() if len(line) > WIDTH and "/somewhere" not in line] == []
    assert "/somewhere/" + "long/" * 30 in text


def test_the_text_says_what_it_is_about() -> None:
    # every planted cause has its row in the matrix, misses and rows that were not run are told, and that it is partial
    text = render(summary(everything(), partial=True))
    for cause in {each.truth[0] for each in ROWS if each.kind == "single"}:
        assert f" {cause} " in text
    assert "client_pool_limit-1: wrong: planted client_pool_limit, named nagle_delayed_ack, server_cpu" in text
    assert "client_pool_limit-2: abstained: planted client_pool_limit, named nothing" in text
    assert "client_pool_limit-3: nothing usable was measured" in text
    assert "broken: KeyError: 'x'" in text
    assert "interrupted: only the rows above were run" in text
    assert "interrupted" not in render(summary(everything()))


def test_the_matrix_is_drawn() -> None:
    # true cause down, first answer across; the last column is no answer, the counts on the right are those of the rows
    made = [
        Score(row=each, outcome="right", first=each.truth[0])
        for each in ROWS
        if each.kind == "single" and each.truth[0] in {"client_pool_limit", "client_semaphore"}
    ]
    made[0] = replace(made[0], outcome="wrong", first="client_semaphore")
    made[-1] = replace(made[-1], outcome="abstained", first=None)
    lines = render(summary(made)).splitlines()
    assert lines[0].split()[6:] == [*"abcdefghijklmnopqrst", "-", "right,", "95", "%"]
    assert lines[1].split() == ["a", "client_pool_limit", "2", "1", *["."] * 19, "2/3", "21%–94%"]
    assert lines[2].split() == ["b", "client_semaphore", ".", "2", *["."] * 18, "1", "2/3", "21%–94%"]


def test_whether_all_holds() -> None:
    # one rate that fails is enough
    assert summary(scores("single", 20)).holds
    assert not summary(scores("single", 20) + scores("control", 1, 1)).holds


def test_arms_are_read_from_the_first() -> None:
    # a row's scenario has one arm
    bare = diagnosed(CPU)
    other: ArmDiagnosis = replace(bare.arms[0], causes=(BLOCK,))
    assert score(row(), replace(bare, arms=(*bare.arms, other))).first == "cpu_in_loop"


def test_the_nominal_rate_is_one_sided() -> None:
    # only a slope that fell is CONFIRMED, which chance does in half of the 5 % outside an interval
    assert NOMINAL == 0.025
