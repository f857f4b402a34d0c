"""py-spy beside a trial: what its trace becomes, and what is told where it cannot be had."""

import os
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab_parts import ca_file, scenario, serving, spec
from test_campaign import run
from test_trial import StandIn, gone, job

from loopdiag.errors import InputError
from loopdiag.lab import sampling, store
from loopdiag.lab.campaign import World
from loopdiag.lab.probes import PROBES, Notes, beside, pyspy
from loopdiag.lab.probes.beside import Beside
from loopdiag.lab.probes.cpu_clock import CpuClock, CpuCurve
from loopdiag.lab.probes.paths import SOURCE, short
from loopdiag.lab.probes.pyspy import TAKEN, TRACE, PySpy, Taken
from loopdiag.lab.probes.pyspy_trace import Event, profiles, shares, sightings
from loopdiag.lab.trial import Bench
from loopdiag.model.profile import Profile
from loopdiag.model.recording import TrialResult
from loopdiag.model.scenario import Arm, Profiling, Sweep, Target

PROFILED = spec(tier="profile")
PID = 4711

# a trial of 400 ms of CPU in `burner`, called by `other`, whatever the machine's speed
BURNER = """
    import json, sys, time
    job = json.loads(sys.stdin.readline())
    def burner(until):
        while time.process_time() < until:
            pass
    def other():
        burner(time.process_time() + 0.4)
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    sys.stdin.readline()
    t0, c0 = time.perf_counter_ns(), time.process_time()
    other()
    t1, c1 = time.perf_counter_ns(), time.process_time()
    report = dict(t0_ns=t0, t1_ns=t1, total_s=(t1 - t0) / 1e9, setup_s=0, cpu_s=c1 - c0, run_queue_s=None, rss_peak_kib=1, gc_collections=0,
                  errors={}, succeeded=1, body_bytes=1)
    sys.stdout.write("done\\n"); sys.stdout.flush()
    open(job["folder"] + "/worker.json", "w").write(json.dumps(report))
"""


def allowed() -> None:
    """Skip where py-spy may not look into our processes."""
    ok, why, _ = sampling.sampling()
    if not ok:
        pytest.skip(why)


def played(
    folder: Path, script: str, *, spy: str | None = None, target: Any = None, cores: tuple[int, ...] = (), rate_hz: int = 500
) -> TrialResult:
    """A profiled trial whose worker is `script`, watched by `spy` in the place of py-spy."""
    profiler = () if spy is None else (sys.executable, "-c", textwrap.dedent(spy))
    made = scenario(profile=Profiling(rate_hz=rate_hz), sweep=Sweep(trial_timeout_s=300))
    bench = Bench(target, command=(sys.executable, "-c", textwrap.dedent(script)), profiler=profiler)
    return bench.run(job(folder, made, spec=PROFILED, cores=cores), folder)


def read(folder: Path, result: TrialResult) -> tuple[Profile, ...]:
    """What the store reads of a trial that ran in `folder`."""
    place = folder / "trials" / result.spec.id
    place.mkdir(parents=True)
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(place / path.name)
    (place / "trial.json").write_bytes(msgspec.json.encode(result))
    return store.profiles(folder, result.spec.id)


# what the trace becomes


def trace(stacks: list[tuple[int, int, list[str]]], end_us: int) -> list[Event]:
    """Samples (µs, thread, functions from outermost) as py-spy writes them: what ended and what began since the thread's last one."""
    events: list[Event] = []
    before: dict[int, list[str]] = {}

    def event(at: int, phase: str, tid: int, name: str) -> None:
        events.append(Event(name=name, ph=phase, ts=at, tid=tid, pid=PID, args={"filename": "/x/site-packages/m.py", "line": 3}))

    def step(at: int, tid: int, now: list[str]) -> None:
        old = before.get(tid, [])
        same = next((k for k, (a, b) in enumerate(zip(old, now, strict=False)) if a != b), min(len(old), len(now)))
        for name in reversed(old[same:]):
            event(at, "E", tid, name)
        for name in now[same:]:
            event(at, "B", tid, name)
        before[tid] = now

    for at, tid, functions in stacks:
        step(at, tid, [f"thread ({PID}): MainThread" if tid == 1 else f"thread ({PID + tid}): pool_{tid}", *functions])
    for tid in list(before):
        step(end_us, tid, [])
    return events


FUNCTIONS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)
SAMPLES = st.lists(st.tuples(st.integers(1, 3000), st.sampled_from([1, 1, 1, 2]), FUNCTIONS), max_size=30)


def in_time(samples: list[tuple[int, int, list[str]]]) -> list[tuple[int, int, list[str]]]:
    """The drawn gaps as times."""
    at, found = 0, []
    for gap, tid, functions in samples:
        at += gap
        found.append((at, tid, functions))
    return found


@given(SAMPLES)
def test_every_change_of_a_stack_is_found(samples: list[tuple[int, int, list[str]]]) -> None:
    # Of each thread, the samples whose stack differs from the one before, with their times, in order; the end of the trace is none.
    samples, last, expected = in_time(samples), {}, []
    for at, tid, functions in samples:
        if last.get(tid) != functions:
            expected.append((at, "main" if tid == 1 else "pool_2", functions))
        last[tid] = functions
    found = [(one.at_us, one.thread, [name for name, _, _ in one.stack]) for one in sightings(trace(samples, 10**6))]
    assert found == expected


def test_a_frame_that_ends_and_never_began_is_damage() -> None:
    # A trace that was cut at its beginning is not read as something else.
    events = trace([(5, 1, ["a", "b"])], 10)
    with pytest.raises(ValueError, match="never began"):
        list(sightings(events[2:]))


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(0, 30), st.integers(1, 20))
def test_the_shares_are_all_of_the_cpu_and_in_order(gaps: list[int], rest: int, step: int) -> None:
    # Each sighting gets one stretch, the stretches touch, and together they go from the first to the last moment.
    spent = [sum(gaps[: k + 1]) for k in range(len(gaps))]
    found = list(shares(spent, 0, (spent[-1] if spent else 0) + rest, step))
    assert len(found) == len(spent)
    if found:
        assert (found[0][0], found[-1][1]) == (0, spent[-1] + rest)
    assert all(a[1] == b[0] for a, b in pairwise(found))
    assert all(begin <= here <= end for here, (begin, end) in zip(spent, found, strict=True))
    for here, after, (_, end) in zip(spent, spent[1:], found, strict=False):
        assert after - end == min(after - here, step) // 2  # half of it, or of one sample's worth


READINGS = st.lists(st.tuples(st.integers(0, 2_000_000), st.integers(0, 2_000_000)), min_size=2, max_size=12)


@given(READINGS, st.integers(-10, 30_000_000))
def test_the_cpu_curve_can_be_read_both_ways(steps: list[tuple[int, int]], moment: int) -> None:
    # It ascends between the first and the last reading, and `when` gives a time at which that much was spent, to a nanosecond of rounding.
    at, cpu = [sum(s[0] for s in steps[: k + 1]) for k in range(len(steps))], [sum(s[1] for s in steps[: k + 1]) for k in range(len(steps))]
    curve = CpuCurve(at, cpu)
    assert curve.ascends()
    spent = curve.at(moment)
    assert cpu[0] <= spent <= cpu[-1]
    assert curve.at(moment + 1) >= spent
    assert at[0] <= curve.when(spent) <= at[-1]
    if at[0] < moment < at[-1] and curve.when(spent) < moment:
        assert abs(curve.at(curve.when(spent)) - spent) <= 1 + 2_000_000 // max(1, min(b - a for a, b in pairwise(at) if b > a))


@given(SAMPLES, READINGS, st.integers(0, 40_000_000), st.integers(1, 40_000_000), st.integers(100, 5000))
def test_a_profile_weighs_what_the_client_spent(
    samples: list[tuple[int, int, list[str]]], steps: list[tuple[int, int]], begin: int, length: int, rate_hz: int
) -> None:
    # Whatever was seen: the threads' weights add up to the CPU between t0 and t1, no weight is more than one sample's, times ascend within the trial.
    at = [0, *(sum(s[0] for s in steps[: k + 1]) for k in range(len(steps)))]
    cpu = [0, *(sum(s[1] for s in steps[: k + 1]) for k in range(len(steps)))]
    taken = Taken(rate_hz=rate_hz, native=False, started_ns=0, stopped_ns=0, wrote_ns=10**9, samples=1, lost=3, cpu_at_ns=at, cpu_ns=cpu)
    trial = TrialResult(spec=PROFILED, status="ok", t0_ns=begin, t1_ns=begin + length, total_s=1, cpu_s=0.25)
    found = profiles(trace(in_time(samples), 10**6), taken, trial)
    curve = CpuCurve(at, cpu)
    total = sum(profile.total_ns for profile in found)
    assert total in {0, curve.at(begin + length) - curve.at(begin)}
    assert found[0].thread == "main"
    for profile in found:
        assert all(0 < weight <= round(1e9 / rate_hz) + 1 for weight in profile.weight_ns)
        assert list(profile.at_ns) == sorted(profile.at_ns)
        assert all(0 <= moment <= length for moment in profile.at_ns)
        assert len(profile.at_ns) == len(profile.stack) == len(profile.weight_ns)
        assert {frame.file for frame in profile.frames} <= {"m.py"}
        assert (profile.lost, profile.cpu_ns, profile.rate_hz) == (3, 250_000_000, rate_hz)


def test_threads_that_compute_side_by_side_share_the_cpu() -> None:
    # two that parse for long while a third waits for its socket: what was spent since they were last seen is theirs, not that of who was seen last
    seen = [(0, 2, ["parse"]), (100, 3, ["parse"]), (200, 4, ["ask", "recv"]), (300, 4, ["ask"])]
    whole = 10_000_000
    taken = Taken(
        rate_hz=10_000, native=False, started_ns=0, stopped_ns=0, wrote_ns=10**9, samples=1, lost=0, cpu_at_ns=[0, whole], cpu_ns=[0, whole]
    )
    trial = TrialResult(spec=PROFILED, status="ok", t0_ns=0, t1_ns=whole, total_s=1, cpu_s=0.01)
    found = {profile.thread: profile for profile in profiles(trace(seen, whole // 1000), taken, trial)}
    assert {name: round(profile.total_ns / whole, 1) for name, profile in found.items()} == {
        "main": 0.0, "pool_2": 0.4, "pool_3": 0.3, "pool_4": 0.3,
    }  # fmt: skip
    waits = [(0, 2, ["parse"]), (100, 4, ["ask", "recv"]), (1500, 2, ["parse", "more"])]
    found = {profile.thread: profile for profile in profiles(trace(waits, whole // 1000), taken, trial)}
    assert found["pool_4"].total_ns < 0.1 * whole


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/me/venv/lib/python3.11/site-packages/aiohttp/client.py", "aiohttp/client.py"),
        ("/usr/lib/python3/dist-packages/httpx/_client.py", "httpx/_client.py"),
        ("/root/.pyenv/versions/3.13.1/lib/python3.13t/asyncio/events.py", "asyncio/events.py"),
        ("/opt/lib64/python3.12/lib-dynload/_ssl.so", "lib-dynload/_ssl.so"),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"),
        (SOURCE + "loopdiag/lab/workload.py", "loopdiag/lab/workload.py"),
        ("/home/me/secret/fetch.py", "fetch.py"),
        ("", ""),
    ],
)
def test_no_path_tells_about_the_machine(path: str, shown: str) -> None:
    # Below the package's root where there is one, else the file's name.
    assert short(path) == shown


# real trials


def test_a_burner_is_seen_where_it_burns(tmp_path: Path) -> None:
    # Nearly all weight lies in the function that spends the CPU, below the one that called it; the sum is what the trial spent.
    allowed()
    result = played(tmp_path, BURNER)
    assert (result.status, result.not_observed, result.warnings) == ("ok", {}, ())
    (profile,) = read(tmp_path, result)
    assert store.profiles(tmp_path, result.spec.id)[0] == profile
    names = [[profile.frames[k].function for k in stack] for stack in profile.stacks]
    burning = sum(w for s, w in zip(profile.stack, profile.weight_ns, strict=True) if names[s][-2:] == ["other", "burner"])
    assert burning >= 0.9 * profile.total_ns
    assert (profile.thread, profile.clock, profile.rate_hz, profile.n, profile.arm) == ("main", "cpu", 500.0, 8, "fake/virtual")
    assert profile.cpu_ns == pytest.approx(4e8, rel=0.1)
    assert 0 < profile.total_ns <= profile.cpu_ns * 1.25
    line = next(frame.line for frame in profile.frames if frame.function == "burner")
    assert line == next(k for k, text in enumerate(textwrap.dedent(BURNER).splitlines(), 1) if "def burner" in text)


def test_a_real_client_is_profiled(tmp_path: Path) -> None:
    # aiohttp over TLS: frames of the standard library and of loopdiag's worker, no path of this machine, nothing of py-spy's own left over.
    allowed()
    with serving(tls=True) as server:
        target = StandIn(server.url, ca_file(server, tmp_path))
        made = scenario(Arm(client="aiohttp"), target=Target(path="/x/{i}"), profile=Profiling(rate_hz=1000))
        asked = job(tmp_path, made, spec=spec(made.arms[0], 300, tier="profile"), url=server.url, ca_file=str(target.ca_file), warm_up=True)
        result = Bench(target).run(asked, tmp_path)
    assert result.status == "ok"
    assert "profile" not in result.not_observed
    assert not (tmp_path / "pyspy.json").exists()
    profile = read(tmp_path, result)[0]
    files = {frame.file for frame in profile.frames}
    assert {"asyncio/base_events.py", "loopdiag/lab/workload.py"} <= files
    assert not [file for file in files if file.startswith("/")]
    assert str(Path.home()) not in msgspec.json.encode(profile).decode()


def test_a_trial_too_short_to_say_anything_says_so(tmp_path: Path) -> None:
    # Virtual time is over in no time: fewer than twenty samples, which is told, and is no failure.
    allowed()
    result = Bench(None).run(job(tmp_path, spec=PROFILED), tmp_path)
    assert (result.status, result.usable) == ("ok", True)
    assert "the trial is too short for 500 a second" in result.not_observed["profile.short"]


def test_other_tiers_are_left_alone(tmp_path: Path) -> None:
    # A bare trial starts no profiler, whatever it is.
    result = Bench(None, profiler=("/no/such/program",)).run(job(tmp_path), tmp_path)
    assert (result.status, result.not_observed.get("profile")) == ("ok", None)
    assert store.profiles(tmp_path, result.spec.id) == ()
    assert store.profiles(tmp_path, result.spec.id) == ()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_the_profiler_keeps_off_the_clients_core(tmp_path: Path) -> None:
    # Where there is another core, py-spy does not run on the client's, from its first thread on; and this process goes back where it was.
    before = os.sched_getaffinity(0)
    spy = f"""
        import os, sys
        open({str(tmp_path / "cores")!r}, "w").write(" ".join(map(str, os.sched_getaffinity(0))))
    """
    core = max(before)
    played(tmp_path, "print('ready', flush=True)", spy=spy, cores=(core,))
    assert set(map(int, (tmp_path / "cores").read_text().split())) == before - {core}
    assert os.sched_getaffinity(0) == before


# where it cannot be had


UNINTERRUPTED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [2])\n"
SAMPLES_ON = "print('py-spy> Sampling process 500 times a second. Press Control-C to exit.', flush=True)\n"


@pytest.mark.parametrize(
    ("spy", "why"),
    [
        ("import sys; sys.exit('Permission Denied: Try running again with elevated permissions')", "py-spy may not look into the trial ("),
        (
            "import sys; sys.exit('Error: Failed to find python version from target process')",
            "py-spy failed: Failed to find python version from target process",
        ),
        ("", "py-spy did not begin to sample"),
        (SAMPLES_ON, "py-spy ended without a word"),
        (SAMPLES_ON + "print('Error: No child process'); raise SystemExit(1)", "py-spy failed: No child process"),
        (
            SAMPLES_ON + "signal.sigwait([2])\nprint(\"py-spy> Wrote chrome trace to 'x'. Samples: 30 Errors: 0\", flush=True)",
            "py-spy's trace cannot be kept: No such file or directory",
        ),
    ],
    ids=["permission", "error", "ends", "ends later", "error later", "no file"],
)
def test_a_profiler_that_fails_costs_the_profile_only(tmp_path: Path, spy: str, why: str) -> None:
    # The trial is measured as always, and one line says what is missing.
    result = played(tmp_path, BURNER.replace("0.4", "0.01"), spy=UNINTERRUPTED + spy)
    assert (result.status, result.usable) == ("ok", True)
    assert result.not_observed["profile"].startswith(why)
    assert "\n" not in result.not_observed["profile"]
    assert read(tmp_path, result) == ()


@pytest.mark.parametrize("begins", [False, True])
def test_a_profiler_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, begins: bool) -> None:
    # One that never begins, or does not end when it is told to, is waited for no longer than its time, and is gone afterwards.
    monkeypatch.setattr(beside, "SETTLE_S", 5.0 if begins else 0.3)
    monkeypatch.setattr(pyspy, "STOP_S", 0.3)
    spy = f"""
        import os, signal, time
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        {SAMPLES_ON.strip() if begins else ""}
        time.sleep(600)
    """
    result = played(tmp_path, BURNER.replace("0.4", "0.01"), spy=spy)
    assert result.status == "ok"
    killed, early = (
        "py-spy did not end within 0.3 s and was killed",
        "py-spy did not begin to sample",
    )  # early: it was told before it could refuse
    assert result.not_observed["profile"] in ({killed} if begins else {killed, early})
    if begins:
        assert gone(int((tmp_path / "pid").read_text()))


LASTS = f"""
    import os, time
    open(PID, "w").write(str(os.getpid()))
    {SAMPLES_ON.strip()}
    time.sleep(600)
"""


def lasting(folder: Path) -> str:
    """A profiler that would sample for ten minutes, and leaves its number."""
    return LASTS.replace("PID", repr(str(folder / "pid")))


def test_an_interrupt_ends_the_profiler_too(tmp_path: Path) -> None:
    # Ctrl-C while a trial is profiled: neither the worker nor py-spy stays.
    class Interrupted(StandIn):
        def cpu_ns(self) -> int:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        played(tmp_path, BURNER, spy=lasting(tmp_path), target=Interrupted("http://127.0.0.1:9"))
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_worker_that_dies_while_it_is_profiled(tmp_path: Path) -> None:
    # The trial has crashed, as without a profiler, which does not outlive it.
    script = "import os, sys; print('ready', flush=True); sys.stdin.readline(); sys.stdin.readline(); os.kill(os.getpid(), 9)"
    result = played(tmp_path, script, spy=lasting(tmp_path))
    assert (result.status, result.why) == ("crashed", "killed by SIGKILL")
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_worker_that_dies_under_the_real_one(tmp_path: Path) -> None:
    # The same with py-spy itself: it ends with its process, and the trial's folder holds no half-written trace.
    allowed()
    script = "import os, sys; print('ready', flush=True); sys.stdin.readline(); sys.stdin.readline(); os.kill(os.getpid(), 9)"
    assert played(tmp_path, script).status == "crashed"
    assert not list(tmp_path.glob("pyspy*"))


def test_a_command_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without py-spy, or where it cannot be run, the trial goes on and says so.
    bench = Bench(None, profiler=("/no/such/program",))
    result = bench.run(job(tmp_path, spec=PROFILED), tmp_path)
    assert result.not_observed["profile"] == "py-spy cannot be run: No such file or directory"
    monkeypatch.setattr(pyspy, "py_spy", lambda: None)
    result = Bench(None).run(job(tmp_path, spec=PROFILED), tmp_path)
    assert result.not_observed["profile"] == "py-spy is not installed: pip install py-spy"
    assert PySpy.available() == "py-spy is not installed"


def test_stopping_twice_says_the_same(tmp_path: Path) -> None:
    # Stop and kill may be called again, in any order.
    running = PySpy((sys.executable, "-c", UNINTERRUPTED + SAMPLES_ON)).start(job(tmp_path, spec=PROFILED), os.getpid(), tmp_path)
    running.settle(10)
    first = running.stop()
    running.kill()
    assert running.stop() == first == Notes(not_observed={"profile": "py-spy ended without a word"})


def test_late_samples_are_told(tmp_path: Path) -> None:
    # What py-spy says about being behind becomes a warning; what it lost stands in the profile.
    spy = f"""
        import signal, sys
        signal.pthread_sigmask(signal.SIG_BLOCK, [2])
        {SAMPLES_ON.strip()}
        print("py-spy> 1.25s behind in sampling, results may be inaccurate. Try reducing the sampling rate", flush=True)
        signal.sigwait([2])
        open(sys.argv[sys.argv.index("--output") + 1], "w").write("[]")
        print("py-spy> Wrote chrome trace to 'x'. Samples: 30 Errors: 4", flush=True)
    """
    result = played(tmp_path, BURNER.replace("0.4", "0.01"), spy=spy, rate_hz=250)
    assert result.warnings == ("py-spy fell behind by up to 1.25s: this machine is too busy for 250 samples a second",)
    (profile,) = read(tmp_path, result)
    assert (profile.lost, profile.total_ns) == (4, 0)


@pytest.mark.parametrize("name", [TRACE, TAKEN])
def test_a_damaged_trace_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    # A file that was cut is a fault of the folder, with its name.
    allowed()
    result = played(tmp_path, BURNER.replace("0.4", "0.05"))
    read(tmp_path, result)
    path = tmp_path / "trials" / result.spec.id / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError) as caught:
        store.profiles(tmp_path, result.spec.id)
    assert len(caught.value.faults) == 1
    assert "damaged" in caught.value.faults[0]


def test_a_full_disk_costs_the_profile(tmp_path: Path) -> None:
    # A folder that takes no file: said, and nothing is left half written.
    (tmp_path / TRACE).mkdir()
    spy = f"""
        import signal, sys
        signal.pthread_sigmask(signal.SIG_BLOCK, [2])
        {SAMPLES_ON.strip()}
        signal.sigwait([2])
        open(sys.argv[sys.argv.index("--output") + 1], "w").write("[]")
        print("py-spy> Wrote chrome trace to 'x'. Samples: 30 Errors: 4", flush=True)
    """
    result = played(tmp_path, BURNER.replace("0.4", "0.01"), spy=spy)
    assert result.not_observed["profile"] == "py-spy's trace cannot be kept: Is a directory"
    assert not (tmp_path / "pyspy.json").exists()


def test_a_run_without_a_profiler_is_whole_and_says_what_it_lacks(tmp_path: Path) -> None:
    # Three profiled trials without a profile are enough: the run goes on, is not partial, and tells the reason once an arm.
    made = scenario(Arm(client="aiohttp"), sweep=Sweep(n=(2, 4, 6, 8), repetitions=2, max_repetitions=2, warmups=0, budget_s=600))
    ran = run(tmp_path / "run", made, world=World(profiler=("/no/such/program",)))
    assert not ran.partial
    assert sum(trial.spec.tier == "profile" for trial in ran.trials) == 3
    (told,) = ran.skipped
    assert (told.arm, told.tier) == ("aiohttp/asyncio", "profile")
    assert told.why.endswith("3 times in a row: py-spy cannot be run: No such file or directory")
    assert {trial.status for trial in ran.trials} == {"ok"}


# the CPU clock and the registry


def test_the_cpu_clock_ends_with_its_process() -> None:
    # A process that is not there gives no reading, and the thread has ended.
    clock = CpuClock(2**22 + 1)
    clock.start()
    clock.stop()
    assert not clock.is_alive()
    assert len(clock.cpu_ns) == 0


def test_the_cpu_clock_reads_what_this_process_spends() -> None:
    # Readings ascend, and cover what was spent between start and stop.
    clock = CpuClock(os.getpid(), sorted(os.sched_getaffinity(0))[:1])
    before = time.process_time_ns()
    clock.start()
    sum(k * k for k in range(300_000))
    clock.stop()
    assert list(clock.cpu_ns) == sorted(clock.cpu_ns)
    assert list(clock.at_ns) == sorted(clock.at_ns)
    assert clock.cpu_ns[0] >= before
    assert clock.cpu_ns[-1] > clock.cpu_ns[0]


@pytest.mark.parametrize("name", list(PROBES))
def test_every_probe_says_what_it_watches_and_costs(name: str) -> None:
    # Each is of one tier, inside or outside, and tells its cost and whether it can be used here.
    probe = PROBES[name]
    assert probe.tier in {"profile", "calls"}
    assert isinstance(probe.inside, bool)
    assert "bare" in probe.cost
    assert probe.available() is None


def test_a_tier_without_a_probe_starts_none(tmp_path: Path) -> None:
    # Beside a bare trial there is nothing to start, stop or kill.
    idle = Beside(job(tmp_path), tmp_path, SimpleNamespace, ())  # type: ignore[arg-type] # it is never entered
    idle.start(os.getpid())
    assert idle.stop() == Notes()
    idle.kill()
