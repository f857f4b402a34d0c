"""Passes over stacks change what is shown and never how much: weight, order and times of the samples stay."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack_files import STACKS, as_profile, recorded

from loopdiag.analysis.flames import difference, prepared, time_flame, trial_flame
from loopdiag.analysis.stacks import (
    Pass,
    below_entry,
    folded,
    joined,
    merged,
    of_requests,
    short_file,
    shortened,
    through,
    window,
    without_lines,
    without_loop,
    without_recursion,
)
from loopdiag.model.flame import CLASSES, Flame
from loopdiag.model.profile import Frame, Profile

FILES = (
    "<frozen runpy>",
    "loopdiag/lab/worker.py",
    "asyncio/events.py",
    "asyncio/runners.py",
    "/usr/lib/python3.12/site-packages/httpx/_client.py",
    "app.py",
    "libc.so.6",
    "",
)
FUNCTIONS = ("main", "_run", "Handle._run", "Runner.run", "f", "<module>", "0x7f12")
FRAMES = st.builds(Frame, function=st.sampled_from(FUNCTIONS), file=st.sampled_from(FILES), line=st.sampled_from((None, 1, 2)))
PASSES: dict[str, Pass] = {
    each.__name__: each for each in (merged, shortened, without_lines, below_entry, without_recursion, without_loop, prepared)
}


@st.composite
def profiles(draw: st.DrawFn, *, arm: str = "aiohttp/asyncio") -> Profile:
    """Any profile, equal frames and stacks among its numbered ones included."""
    frames = draw(st.lists(FRAMES, min_size=1, max_size=8))
    stacks = draw(st.lists(st.lists(st.integers(0, len(frames) - 1), max_size=6).map(tuple), min_size=1, max_size=6))
    rows = draw(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, len(stacks) - 1), st.integers(0, 10**7)), max_size=12))
    rows.sort()
    return Profile(
        trial="t",
        arm=arm,
        n=draw(st.integers(1, 800)),
        repetition=0,
        frames=tuple(frames),
        stacks=tuple(stacks),
        at_ns=tuple(at for at, _, _ in rows),
        stack=tuple(number for _, number, _ in rows),
        weight_ns=tuple(weight for _, _, weight in rows),
    )


@pytest.mark.parametrize("name", PASSES)
@given(profile=profiles())
def test_passes_keep_every_sample(name: str, profile: Profile) -> None:
    # each pass keeps weight, time and order of every sample, and never makes a stack longer or an empty one out of one that is not
    after = PASSES[name](profile)
    assert (after.weight_ns, after.at_ns, after.total_ns) == (profile.weight_ns, profile.at_ns, profile.total_ns)
    for old, new in zip(profile.stack, after.stack, strict=True):
        assert len(after.stacks[new]) <= len(profile.stacks[old])
        assert bool(after.stacks[new]) == bool(profile.stacks[old])


@pytest.mark.parametrize("name", PASSES)
@given(profile=profiles())
def test_passes_are_idempotent(name: str, profile: Profile) -> None:
    # what a pass has done, it does not do again
    once = PASSES[name](profile)
    assert merged(PASSES[name](once)) == merged(once)


@given(profile=profiles(), start=st.integers(-10, 10**6), length=st.integers(0, 10**6))
def test_a_window_and_what_it_leaves_are_the_whole(profile: Profile, start: int, length: int) -> None:
    # before, in and after a window lies each sample once
    bounds = (-(10**9), start, start + length, 10**9)
    parts = [window(low, high)(profile) for low, high in pairwise(bounds)]
    assert sum(part.total_ns for part in parts) == profile.total_ns
    assert tuple(at for part in parts for at in part.at_ns) == profile.at_ns


@given(threads=st.lists(profiles(), min_size=1, max_size=4))
def test_threads_together_hold_what_each_holds(threads: list[Profile]) -> None:
    # in the order of time, and each stack as heavy as in all of them
    whole = joined(threads)
    assert list(whole.at_ns) == sorted(whole.at_ns)
    expected: Counter[tuple[Frame, ...]] = Counter()
    for each in threads:
        expected.update(folded(each))
    assert folded(whole) == expected


def test_who_computes_for_the_requests() -> None:
    # the main thread where it runs a loop or computes most, all threads where others do, nobody without any
    def seen(thread: str, weight: int, function: str = "work", file: str = "client.py") -> Profile:
        return Profile(
            trial="t", arm="a", n=1, repetition=0, thread=thread, frames=(Frame(function=function, file=file),), stacks=((0,),), at_ns=(5,), stack=(0,), weight_ns=(weight,),
        )  # fmt: skip

    waits, looped, works = seen("main", 1), seen("main", 1, "run", "/usr/lib/python3.12/asyncio/runners.py"), seen("main", 9)
    pool = [seen("pool_0", 5), seen("pool_1", 3)]
    assert of_requests([]) is None
    assert of_requests([looped, *pool]) is looped
    assert of_requests([works, *pool]) is works
    found = of_requests([waits, *pool])
    assert found is not None
    assert (found.thread, found.total_ns) == ("all", 9)


@given(profile=profiles())
def test_folding_sums_up_equal_stacks(profile: Profile) -> None:
    # folded stacks hold the profile's weight, each stack once
    stacks = folded(profile)
    assert sum(stacks.values()) == profile.total_ns
    expected: dict[tuple[Frame, ...], int] = {}
    for number, weight in zip(profile.stack, profile.weight_ns, strict=True):
        stack = tuple(profile.frames[i] for i in profile.stacks[number])
        expected[stack] = expected.get(stack, 0) + weight
    assert stacks == expected


@given(profile=profiles())
def test_merging_numbers_each_frame_and_stack_once(profile: Profile) -> None:
    # after merging no frame and no stack stands twice, and none stands unused
    after = merged(profile)
    assert len(set(after.frames)) == len(after.frames)
    assert len(set(after.stacks)) == len(after.stacks)
    assert set(after.stack) == set(range(len(after.stacks)))
    assert {i for stack in after.stacks for i in stack} == set(range(len(after.frames)))


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("/home/x/.venv/lib/python3.12/site-packages/httpcore/_async/http11.py", "httpcore/_async/http11.py"),
        ("/usr/lib/python3/dist-packages/yarl/_url.py", "yarl/_url.py"),
        ("/opt/python/lib/python3.11/asyncio/base_events.py", "asyncio/base_events.py"),
        ("/opt/python/lib/python3.13t/ssl.py", "ssl.py"),
        ("/x/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", "_ssl.so"),
        ("/x/site-packages/aiohttp/_http_parser.cpython-312-x86_64-linux-gnu.so", "aiohttp/_http_parser.so"),
        ("/x/site-packages/cryptography/_rust.abi3.so", "cryptography/_rust.so"),
        ("/usr/lib/x86_64-linux-gnu/libz.so.1.2.13", "libz.so"),
        ("/build/Python-3.11.7/./Modules/_ssl.c", "Modules/_ssl.c"),
        ("/project/uvloop/loop.c", "uvloop/loop.c"),
        ("/checkout/loopdiag/lab/worker.py", "loopdiag/lab/worker.py"),
        ("/home/x/shop/prices.py", "shop/prices.py"),
        ("C:\\shop\\app\\prices.py", "app/prices.py"),
        ("asyncio/base_events.py", "asyncio/base_events.py"),
        ("<frozen runpy>", "<frozen runpy>"),
        ("", ""),
    ],
)
def test_files_are_cut_to_their_package(path: str, short: str) -> None:
    # a file is shown below its package root, without version, ABI and machine; cutting again changes nothing
    assert short_file(path) == short
    assert short_file(short) == short


def stacks_of(*names: str) -> Profile:
    """One sample of one stack, frames written as ``function file``."""
    frames = tuple(Frame(function=name.split(" ")[0], file=name.partition(" ")[2]) for name in names)
    return Profile(
        trial="t", arm="a/b", n=1, repetition=0, frames=frames, stacks=(tuple(range(len(frames))),), at_ns=(0,), stack=(0,), weight_ns=(1,)
    )


ENTRY = ("_run_code <frozen runpy>", "<module> loopdiag/lab/worker.py", "main loopdiag/lab/worker.py")
ASYNCIO = ("Runner.run asyncio/runners.py", "BaseEventLoop._run_once asyncio/base_events.py", "Handle._run asyncio/events.py")


@pytest.mark.parametrize(
    ("change", "names", "left"),
    [
        (below_entry, (*ENTRY, *ASYNCIO, "f app.py"), (*ASYNCIO, "f app.py")),
        (below_entry, ENTRY, ENTRY[-1:]),  # samples of the entry itself stay somebody's
        (below_entry, ("_bootstrap threading.py", "_bootstrap_inner threading.py", "f app.py"), ("f app.py",)),
        (below_entry, ("f app.py", "main loopdiag/lab/worker.py"), ("f app.py", "main loopdiag/lab/worker.py")),
        (below_entry, ("<module> app.py", "f app.py"), ("<module> app.py", "f app.py")),
        (without_loop, (*ASYNCIO, "f app.py"), ("f app.py",)),
        (without_loop, ASYNCIO, ASYNCIO[-1:]),
        (without_loop, ("Runner.run asyncio/runners.py", "f app.py"), ("f app.py",)),  # uvloop's is all that Python shows of it
        (without_recursion, ("f app.py", "g app.py", "g app.py", "f app.py"), ("f app.py", "g app.py", "f app.py")),
    ],
)
def test_what_passes_leave_out(change: Pass, names: tuple[str, ...], left: tuple[str, ...]) -> None:
    # the way into the program, the loop's own frames, direct recursion
    after = change(stacks_of(*names))
    assert [f"{after.frames[i].function} {after.frames[i].file}" for i in after.stacks[0]] == list(left)


def test_addresses_are_no_names() -> None:
    # a function without a symbol has the same name in each trial
    after = shortened(stacks_of("0x7f12ab libz.so.1", "0x7f12cd libz.so.1"))
    assert after.frames == (Frame(function="?", file="libz.so"),)


def assert_adds_up(flame: Flame) -> None:
    """Hold that a graph's columns fit together."""
    nodes = len(flame.parent)
    assert len(flame.frame) == len(flame.value) == len(flame.self_value) == len(flame.code) == nodes
    assert (flame.parent[0], flame.frame[0]) == (-1, -1)
    assert all(0 <= parent < node for node, parent in enumerate(flame.parent) if node)
    assert set(flame.code) <= set(CLASSES)
    sums = list(flame.self_value)
    for node in range(nodes - 1, 0, -1):
        sums[flame.parent[node]] += sums[node]
    assert sums == pytest.approx(flame.value, abs=1e-9)


@given(profile=profiles())
def test_widths_add_up_to_the_total(profile: Profile) -> None:
    # each node is as wide as its own samples and its children, the root as wide as the profile, in both graphs of one trial
    for flame in (trial_flame(profile), time_flame(profile)):
        assert_adds_up(flame)
        assert flame.value[0] == pytest.approx(profile.total_ns / 1e6)
        assert flame.samples == len(profile.stack)


@given(a=profiles(), b=profiles(arm="httpx/asyncio"))
def test_a_difference_is_b_less_a(a: Profile, b: Profile) -> None:
    # the root is the difference of the totals a request; from one to the other and back it changes its sign, and a less a is nothing
    flame, back = difference([a], [b]), difference([b], [a])
    assert_adds_up(flame)
    assert flame.value[0] == pytest.approx(b.total_ns / b.n / 1e3 - a.total_ns / a.n / 1e3, abs=1e-6)
    assert back.value[0] == pytest.approx(-flame.value[0], abs=1e-6)
    assert not any(difference([a], [a]).value)


def test_a_difference_counts_the_cpu_that_the_process_measured() -> None:
    # where both sides know their CPU, the samples' weights only share it out
    import msgspec

    a = msgspec.structs.replace(stacks_of("f app.py"), cpu_ns=3_000_000)
    b = msgspec.structs.replace(stacks_of("f app.py"), cpu_ns=5_000_000)
    assert difference([a], [b]).value == pytest.approx((2000.0, 2000.0))


@given(profile=profiles())
def test_time_runs_from_left_to_right(profile: Profile) -> None:
    # nodes begin in the order in which they stand, no child before its parent, and at a sample's time
    flame = time_flame(profile)
    assert list(flame.start_ns) == sorted(flame.start_ns)
    assert all(flame.start_ns[parent] <= start for parent, start in zip(flame.parent[1:], flame.start_ns[1:], strict=True))
    assert set(flame.start_ns) <= set(profile.at_ns) | {0}


def test_frames_over_time_end_where_nothing_ran() -> None:
    # samples that follow each other share their frames; after a wait frames begin anew
    f, g = Frame(function="f", file="app.py"), Frame(function="g", file="app.py")
    profile = Profile(
        trial="t",
        arm="a/b",
        n=1,
        repetition=0,
        frames=(f, g),
        stacks=((0,), (0, 1)),
        at_ns=(0, 10, 20, 30, 500),
        stack=(0, 1, 1, 0, 1),
        weight_ns=(10,) * 5,
    )
    flame = time_flame(profile)
    shown = [(flame.frames[i].function, start) for i, start in zip(flame.frame[1:], flame.start_ns[1:], strict=True)]
    assert shown == [("f", 0), ("g", 10), ("f", 500), ("g", 500)]


@pytest.mark.parametrize("name", STACKS)
def test_recorded_stacks_go_through_everything(name: str) -> None:
    # real stacks keep their weight through all passes, and their graph does not depend on the order of the samples
    profile = as_profile(recorded(name))
    assert through(profile, *PASSES.values()).total_ns == profile.total_ns
    turned = as_profile(dict(reversed(recorded(name).items())))
    assert trial_flame(turned) == trial_flame(profile)
