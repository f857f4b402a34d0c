"""Flame graphs as columns, text, exports and figures: weight and order are kept, widths are values, nothing tells of the machine."""

import json
import math
import random
import re
from collections import Counter
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import documents
import flame_parts
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loopdiag.model.document import Document
from loopdiag.model.flame import CLASSES, Flame
from loopdiag.model.profile import Frame, Profile
from loopdiag.report import FORMATS, format_of, growth
from loopdiag.report.addresses import source
from loopdiag.report.figures import write_figures
from loopdiag.report.flame_layout import lay_out, sources, visible, widths
from loopdiag.report.folded import escaped, folded, largest_profiles
from loopdiag.report.page_columns import DIGITS
from loopdiag.report.page_flames import FINEST, MOST_NODES, MOST_OF_ONE, choose_flames, flame_columns
from loopdiag.report.palette import CHANGE_COLOURS, CLASS_COLOURS, class_style, luminance, text_on

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "speedscope.schema.json").read_text(encoding="utf-8"))
SVG = "{http://www.w3.org/2000/svg}"


@cache
def flamed() -> Document:
    """The run with profiles, made once."""
    return documents.flamed()


# --- folded stacks

names = st.sampled_from(["a", "b", "c;d", "e f", "g\nh", "<listcomp>"])
stacks = st.lists(st.lists(names, max_size=5), min_size=1, max_size=6)
samples = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**7)), max_size=30)


def made(lists: list[list[str]], seen: list[tuple[int, int]], **facts: Any) -> Profile:
    """A profile of these stacks and samples."""
    frames = list(dict.fromkeys(Frame(function=name) for path in lists for name in path))
    columns = {
        "frames": tuple(frames),
        "stacks": tuple(tuple(frames.index(Frame(function=name)) for name in path) for path in lists),
        "at_ns": tuple(range(len(seen))),
        "stack": tuple(k % len(lists) for k, _ in seen),
        "weight_ns": tuple(weight for _, weight in seen),
    }
    return Profile(**{"trial": "t", "arm": "x/y", "n": 5, "repetition": 0} | columns | facts)


@given(stacks, samples)
def test_folded_stacks_conserve_the_weight(lists: list[list[str]], seen: list[tuple[int, int]]) -> None:
    # the counts of all lines are the profile's weight in microseconds, whatever its parts round to
    lines = folded([made(lists, seen)])
    assert sum(int(line.rsplit(" ", 1)[1]) for line in lines) == (sum(weight for _, weight in seen) + 500) // 1000


@given(stacks, samples)
def test_each_folded_line_is_one_stack(lists: list[list[str]], seen: list[tuple[int, int]]) -> None:
    # each stack has one line, within a microsecond of its own weight, and as many parts as it has frames
    weights: Counter[tuple[str, ...]] = Counter()
    for k, weight in seen:
        weights[("x/y", *map(escaped, lists[k % len(lists)]))] += weight
    found = {tuple(line.rsplit(" ", 1)[0].split(";")): int(line.rsplit(" ", 1)[1]) for line in folded([made(lists, seen)])}
    assert set(found) <= set(weights)
    assert all(abs(found.get(path, 0) * 1000 - weight) <= 1000 for path, weight in weights.items())


@pytest.mark.parametrize(
    ("name", "line"),
    [("a;b", "a\\x3bb"), ("a\nb", "a b"), ("a\x1b[31m", "a�[31m"), ("plain", "plain")],
)
def test_a_frames_name_cannot_part_a_line(name: str, line: str) -> None:
    # semicolons, line ends and control characters do not reach the file
    assert escaped(name) == line


def test_folded_merges_the_largest_n_of_each_arm() -> None:
    # repetitions and threads of the largest N are together, smaller N are left out, threads other than the main one are named
    chosen = largest_profiles(flamed().profiles)
    assert {(profile.arm, profile.n) for profile in chosen} == {("httpx/asyncio", 100), ("aiohttp/asyncio", 100)}
    lines = FORMATS["folded"](flamed()).splitlines()  # type: ignore[union-attr] # it is text
    counts = [int(str(line).rsplit(" ", 1)[1]) for line in lines]
    assert sum(counts) == (sum(profile.total_ns for profile in chosen) + 500) // 1000
    assert any(str(line).startswith("httpx/asyncio;thread asyncio_0;main (worker.py:12);") for line in lines)
    (scan,) = [
        int(str(line).rsplit(" ", 1)[1]) for line in lines if re.match(r"httpx/asyncio;main.*;_assign_requests\S* \S+ \d+$", str(line))
    ]
    assert scan == 100 * (8 + 0.45 * 100)


# --- speedscope


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value fits a JSON schema, of the words that speedscope's uses; a word that is not known is an error."""
    if "$ref" in schema:
        return fits(SCHEMA["definitions"][schema["$ref"].rsplit("/", 1)[1]], value)
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float)}
    tests = {
        "type": lambda kind: isinstance(value, kinds[kind]) and not isinstance(value, bool),
        "const": lambda only: value == only,
        "enum": lambda among: value in among,
        "anyOf": lambda any_of: any(fits(one, value) for one in any_of),
        "required": lambda needed: all(key in value for key in needed),
        "properties": lambda parts: all(fits(part, value[key]) for key, part in parts.items() if key in value),
        "items": lambda item: all(fits(item, one) for one in value),
        "title": lambda _: True,
    }
    return all(tests[word](asked) for word, asked in sorted(schema.items(), key=lambda item: item[0] != "type"))


def speedscope(document: Document) -> dict[str, Any]:
    """The export, read back."""
    read: dict[str, Any] = json.loads(FORMATS["speedscope"](document))
    return read


@pytest.mark.parametrize("name", documents.EDGES)
def test_speedscope_files_fit_speedscopes_own_schema(name: str) -> None:
    # every document's export is valid, and has no key that the schema does not know
    file = speedscope(documents.EDGES[name]())
    assert fits({"$ref": SCHEMA["$ref"]}, file)
    known = SCHEMA["definitions"]
    assert set(file) <= set(known["FileFormat.File"]["properties"])
    assert all(set(frame) <= set(known["FileFormat.Frame"]["properties"]) for frame in file["shared"]["frames"])
    assert all(set(profile) <= set(known["FileFormat.SampledProfile"]["properties"]) for profile in file["profiles"])
    assert all(0 <= k < len(file["shared"]["frames"]) for profile in file["profiles"] for sample in profile["samples"] for k in sample)


@pytest.mark.parametrize(
    ("key", "value"),
    [("$schema", "https://example.test/"), ("profiles", None), ("shared", {}), ("profiles", [{"type": "sampled"}]), ("exporter", 1)],
)
def test_the_schema_has_teeth(key: str, value: object) -> None:
    # a file with a wrong part does not fit
    assert not fits({"$ref": SCHEMA["$ref"]}, speedscope(flamed()) | {key: value})


def test_speedscope_has_a_profile_for_each_trial_and_thread() -> None:
    # weights are conserved, samples keep the order of time, and what opens first is the largest N's main thread
    file = speedscope(flamed())
    assert len(file["profiles"]) == len(flamed().profiles) == 5
    assert sum(profile["endValue"] for profile in file["profiles"]) == sum(profile.total_ns for profile in flamed().profiles)
    assert all(sum(profile["weights"]) == profile["endValue"] and profile["unit"] == "nanoseconds" for profile in file["profiles"])
    first = file["profiles"][file["activeProfileIndex"]]["name"]
    assert "N = 100" in first
    assert "thread" not in first


def test_all_threads_together_speak_for_their_trial() -> None:
    # where no loop runs a trial's one profile is of all its threads: it opens first where its N is the largest, and says what it is
    document = replace(flamed(), profiles=tuple(replace(p, thread="all") if p.thread == "main" else p for p in flamed().profiles))
    file = speedscope(document)
    first = file["profiles"][file["activeProfileIndex"]]["name"]
    assert "N = 100" in first
    assert ", all threads (" in first
    assert "httpx/asyncio;all threads;" in str(FORMATS["folded"](document))


def test_speedscope_sorts_samples_by_time() -> None:
    # samples that were recorded out of order are put in order, those of one moment stay as they were
    seen = replace(made([["a"], ["b"], ["c"]], [(0, 1), (1, 2), (2, 3)]), at_ns=(9, 4, 4))
    (profile,) = speedscope(replace(documents.no_arms(), profiles=(seen,)))["profiles"]
    assert (profile["samples"], profile["weights"]) == ([[1], [2], [0]], [2, 3, 1])


# --- layout


def graph(seed: int, nodes: int, kind: str = "slope") -> Flame:
    """A random graph; own values of differences may be negative."""
    rng = random.Random(seed)
    parent = [-1, *(rng.randrange(k) for k in range(1, nodes))]
    own = [rng.choice([0.0, rng.random(), rng.random() * 50]) * (rng.choice([1, -1]) if kind == "difference" else 1) for _ in parent]
    value = list(own)
    for node in range(nodes - 1, 0, -1):
        value[parent[node]] += value[node]
    columns = {"parent": tuple(parent), "frame": (-1, *(0,) * (nodes - 1)), "value": tuple(value), "self_value": tuple(own)}
    codes = tuple(rng.choice(list(CLASSES)) for _ in parent)
    return Flame(kind=kind, title="t", arm="x/y", unit="µs of CPU a request", frames=(Frame(function="f"),), code=codes, **columns)  # type: ignore[arg-type] # made here


@given(st.integers(0, 10**6), st.integers(1, 80), st.sampled_from(["slope", "trial", "difference"]))
def test_frames_stand_within_their_callers_and_beside_each_other(seed: int, nodes: int, kind: str) -> None:
    # every node is there once, as wide as its value (of a difference: as all that changed), inside its parent, siblings from the widest on
    flame = graph(seed, nodes, kind)
    laid, wide = lay_out(flame), widths(flame)
    assert sorted(laid.node) == list(range(nodes))
    by_parent: dict[int, list[int]] = {}
    for place, above in enumerate(laid.parent):
        assert laid.width[place] == pytest.approx(wide[laid.node[place]], rel=1e-9, abs=1e-9)
        assert above < place
        if above >= 0:
            by_parent.setdefault(above, []).append(place)
            assert laid.node[above] == flame.parent[laid.node[place]]
            assert laid.depth[place] == laid.depth[above] + 1
    for above, places in by_parent.items():
        assert places == list(range(places[0], places[-1] + 1))
        assert laid.left[places[0]] == laid.left[above]
        assert laid.left[places[-1]] + laid.width[places[-1]] <= laid.left[above] + laid.width[above] + 1e-6
        for a, b in pairwise(places):
            assert laid.left[b] == pytest.approx(laid.left[a] + laid.width[a])
            assert laid.width[a] >= laid.width[b] - 1e-9


@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(1, 60))
def test_the_narrowest_are_left_out_first(seed: int, nodes: int, most: int) -> None:
    # of a graph that is too large the widest nodes stay, and none without its caller
    flame = graph(seed, nodes)
    kept = lay_out(flame, most)
    assert len(kept.node) == min(nodes, most)
    assert all(flame.parent[node] in kept.node for node in kept.node if node)
    left_out = set(range(nodes)) - set(kept.node)
    assert max((flame.value[node] for node in left_out), default=0) <= min(flame.value[node] for node in kept.node) + 1e-9


def test_what_falls_with_n_has_no_width() -> None:
    # frames with negative slopes take no room, the others keep theirs: each is as wide as what grows in it and below it
    flame = replace(graph(1, 4), parent=(-1, 0, 0, 2), value=(7.0, 10.0, -3.0, -3.0), self_value=(0.0, 10.0, 0.0, -3.0))
    laid = lay_out(flame)
    assert dict(zip(laid.node, laid.width, strict=True)) == {0: 10.0, 1: 10.0, 2: 0.0, 3: 0.0}
    (shown,) = flame_columns(replace(documents.no_arms(), flames=(flame,)))["graphs"]
    assert [value * shown["step"] for value in numbers(shown["value"])] == pytest.approx([7.0, 10.0, -3.0, -3.0], abs=1e-5)


def test_where_growth_comes_from_is_told_from_what_carries_it() -> None:
    # callers of a super-linear frame are super-linear too; the one that holds most of it itself is the source
    flame = flame_parts.slope("httpx/asyncio")
    every = replace(flame, exponent=tuple(1.6 if value > 300 else None for value in flame.value))
    laid = lay_out(every)
    found = {every.frames[every.frame[laid.node[place]]].function for place in sources(every, laid)}
    assert found == {"_assign_requests_to_connections", "do_handshake"}
    assert sources(replace(flame, exponent=()), laid) == set()
    assert len(visible(laid, 0.5)) < len(visible(laid, 0.001)) <= len(laid.node)


# --- the page's columns


def numbers(text: str) -> list[int]:
    """The integers of a packed column, as the page's scripts read them."""
    found, value, weight = [], 0, 1
    for digit in map(DIGITS.index, text):
        value += (digit & 31) * weight
        weight *= 32
        if digit < 32:
            found.append(-(value >> 1) if value & 1 else value >> 1)
            value, weight = 0, 1
    return found


@pytest.mark.parametrize("flame", [flame_parts.slope("a/b"), flame_parts.difference("a/b", "c/d"), graph(3, 60, "difference")])
def test_columns_hold_every_value(flame: Flame) -> None:
    # unpacked, each node has its frame, class, value, own value, bounds and exponent, to a ten-millionth of the whole
    document = replace(documents.no_arms(), flames=(flame,))
    (shown,) = flame_columns(document)["graphs"]
    laid, step = lay_out(flame), shown["step"]
    near = {"abs": 1.01 * laid.width[0] / FINEST}
    assert numbers(shown["code"]) == [list(CLASSES).index(flame.code[node]) for node in laid.node]
    assert [v * step for v in numbers(shown["own"])] == pytest.approx([flame.self_value[node] for node in laid.node], **near)
    assert [v * step for v in numbers(shown["value"] or shown["width"])] == pytest.approx([flame.value[node] for node in laid.node], **near)
    assert np.cumsum(numbers(shown["parent"])).tolist() == list(laid.parent)
    if flame.low:
        low = [(v - b) * step for v, b in zip(numbers(shown["width"]), numbers(shown["below"]), strict=True)]
        assert low == pytest.approx([flame.low[node] for node in laid.node], abs=2 * near["abs"])
    powers = [(k, flame.exponent[node]) for k, node in enumerate(laid.node) if flame.exponent and flame.exponent[node] is not None]
    assert list(zip(np.cumsum(numbers(shown["super"])).tolist(), shown["exponents"], strict=True)) == powers


def test_graphs_over_time_keep_when_each_frame_ran() -> None:
    # begin and length of each node are right to the microsecond, the earliest sibling first
    flame = flame_parts.over_time(flame_parts.profile("a/b", 25))
    (shown,) = flame_columns(replace(documents.no_arms(), flames=(flame,)))["graphs"]
    laid = lay_out(flame)
    assert np.cumsum(numbers(shown["start"])).tolist() == [pytest.approx(flame.start_ns[node] / 1e3, abs=0.51) for node in laid.node]
    assert numbers(shown["width"]) == [pytest.approx(flame.value[node] * 1e3, abs=1) for node in laid.node]
    children = [laid.left[k] for k in range(len(laid.node)) if laid.parent[k] == 0]
    assert children == sorted(children)


def test_what_does_not_fit_into_the_page_is_counted() -> None:
    # slope graphs take their room first, then trials from the largest N on; a graph that is too large loses its narrowest frames
    big = flame_parts.large(MOST_OF_ONE + 500)
    trials = [replace(big, kind="trial", n=n) for n in (100, 200, 400)]
    document = replace(documents.no_arms(), flames=(*trials, big))
    shown, left_out = choose_flames(document)
    assert [(flame.kind, flame.n) for flame in shown] == [("slope", None), ("trial", 400)]
    assert left_out == 2
    columns = flame_columns(document)
    assert sum(one["count"] for one in columns["graphs"]) <= MOST_NODES
    assert {one["narrower"] for one in columns["graphs"]} == {500}


def test_fifty_thousand_frames_stay_a_small_page() -> None:
    # the page of one graph of 50 000 frames stays under 2 MB
    assert len(FORMATS["html"](documents.flames_large())) < 2_000_000


# --- what every report says


def test_the_sentence_adds_up() -> None:
    # the classes' sums, the smaller ones together, and `other` are the whole
    flame = flame_parts.slope("httpx/asyncio")
    said = growth.sentence(flame)
    assert said.startswith("Of 1.57 ms of CPU a request: 556 µs pool, 410 µs tls-handshake, ")
    assert said.endswith("83.5 µs in 7 smaller, other 1.2 %.")
    parts = [float(value) * {"ms": 1e3, "µs": 1.0}[unit] for value, unit in re.findall(r"([\d.]+) (ms|µs)", said)]
    assert sum(parts[1:]) + flame.value[0] * 14 / 1573.5 == pytest.approx(parts[0], rel=0.005)


@pytest.mark.parametrize(
    ("unit", "said"),
    [("ms of CPU", "Of 7.00 ms of CPU: "), ("µs of CPU a request", "Of 7.00 µs of CPU a request: "), ("s of CPU", "Of 7.00 s of CPU: ")],
)
def test_the_unit_of_a_graph_is_read(unit: str, said: str) -> None:
    # a graph's unit begins with its unit of time
    flame = flame_parts.tree({flame_parts.stack(["loads"]): 7.0}, kind="trial", title="t", arm="a/b", unit=unit)
    assert growth.sentence(flame).startswith(said)


def test_what_the_profile_is_is_said() -> None:
    # samples, rate, losses, the tier's cost, the rescaling and the residual stand beside the graph
    flame = growth.main_flames(flamed())["httpx/asyncio"]
    said = dict(growth.facts(flamed(), flame))
    assert said["Samples"] == "4210, 500 a second; lost 3"
    assert said["Profiler's cost"] == "over bare trials: CPU × 1.06 ±0.04"
    assert said["Residual"].startswith("12.0 µs of CPU a request measured without the profiler")
    assert "rescaled by 0.962" in said["Note"]


def test_the_text_report_names_five_functions_an_arm() -> None:
    # own slope with interval, exponent, class, function and file, the one that adds most first, then the sums of the classes
    text = FORMATS["text"](flamed())
    assert isinstance(text, str)
    lines = text.splitlines()
    start = lines.index("httpx/asyncio: code that grows most, µs of CPU a request (own), power of N")
    assert lines[start + 1].split() == ["410", "±30", "tls-handshake", "do_handshake", "ssl.py"]
    assert lines[start + 2].split() == ["370", "±30", "N^2.0", "pool", "_assign_requests_to_connections"]
    assert lines[start + 6].startswith("  Of 1.57 ms of CPU a request: ")
    assert "code that grows" not in str(FORMATS["text"](documents.small()))


def test_the_page_shows_rows_calls_and_shares_without_scripts() -> None:
    # the table of functions, the calls with their warning, the bar and the profile's facts are in the page's own text
    page = str(FORMATS["html"](flamed()))
    for said in (
        "_assign_requests_to_connections",
        "N^2.0",
        "370 ±30",
        "Calls a request",
        "50.0",
        "its times are distorted",
        "4210, 500 a second",
    ):
        assert said in page
    assert page.count('class="arm-code"') == 2
    bars = re.findall(r'<svg class="code-\d+" x="([\d.]+)%" width="([\d.]+)%"', page)
    assert len(bars) > 20
    assert all(float(x) + float(width) <= 100.01 for x, width in bars)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("small", "Not observed: the run has no profile trial."),
        ("unprofiled", "Not observed: profile: py-spy may not read other processes here (kernel.yama.ptrace_scope = 2)."),
    ],
)
def test_without_flame_graphs_one_line_says_why(name: str, said: str) -> None:
    # no canvas, no switch, no legend: the section is its reason, and so are the exports
    document = getattr(documents, name)()
    page = str(FORMATS["html"](document))
    section = page[page.index('<section id="code">') : page.index('<section id="phases">')]
    assert section == f'<section id="code"><h2>Which code grows</h2><p>{said}</p></section>'
    assert said in str(FORMATS["folded"](document))
    assert said in str(FORMATS["flamegraph"](document))


@pytest.mark.parametrize("form", ["html", "text", "folded", "speedscope", "flamegraph"])
def test_no_export_tells_of_the_machine(form: str) -> None:
    # absolute paths keep their last folder, and what the target's address holds in secret is not there
    text = str(FORMATS[form](documents.flames_hostile()))
    for secret in ("somebody", "secret project", "hunter2", "user:secret", "\x1b"):
        assert secret not in text
    if form != "text":
        assert "app/main.py" in text


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("httpx/_client.py", "httpx/_client.py"),
        ("/home/somebody/app/main.py", "app/main.py"),
        ("C:\\Users\\somebody\\app\\main.py", "app/main.py"),
        ("/main.py", "main.py"),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>"),
        ("", ""),
    ],
)
def test_paths_lose_the_machines_folders(file: str, shown: str) -> None:
    # a path below a package root stays, an absolute one keeps one folder
    assert source(file) == shown


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("x.folded", "folded"),
        ("x.speedscope.json", "speedscope"),
        ("x.json", "json"),
        ("x.flamegraph.svg", "flamegraph"),
        ("a.b.svg", "svg"),
    ],
)
def test_the_ending_picks_the_format(name: str, form: str) -> None:
    # endings of two parts are read before those of one
    assert format_of(Path(name)) == form


# --- pictures


def test_the_svg_is_readable_by_itself() -> None:
    # no script, a tooltip on every frame, widths in the ratio of the slopes, super-linear frames striped, every arm there
    text = str(FORMATS["flamegraph"](flamed()))
    root = ET.fromstring(text)
    assert not [element for element in root.iter() if element.tag == f"{SVG}script" or any(key.startswith("on") for key in element.attrib)]
    frames = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("class") == "frame":
            title, first, *_ = group
            lines = (title.text or "").split("\n")
            frames.setdefault(lines[0], (float(first.get("width", "0")), "\n".join(lines), [part.get("fill") for part in group]))
    assert frames["do_handshake"][0] / frames["all of httpx/asyncio"][0] == pytest.approx(410 / 1573.5, rel=0.01)
    told = frames["_assign_requests_to_connections"][1]
    for said in (
        "httpcore/_async/connection_pool.py:41",
        "547 µs (503 µs to 591 µs) of CPU a request",
        "own 368 µs, pool",
        "grows as N^2.0",
    ):
        assert said in told
    assert "url(#super-white)" in frames["_assign_requests_to_connections"][2]
    assert not any(str(fill).startswith("url") for fill in frames["do_handshake"][2])
    assert "all of aiohttp/asyncio" in frames


@pytest.mark.parametrize("name", documents.EDGES)
def test_every_svg_is_well_formed(name: str) -> None:
    # whatever the frames are called
    assert ET.fromstring(str(FORMATS["flamegraph"](documents.EDGES[name]()))).tag == f"{SVG}svg"


def test_figures_hold_each_arms_graph(tmp_path: Path) -> None:
    # beside the other figures, as SVG and PNG, the same bytes each time
    document = replace(flamed(), timelines=())
    one, two = (write_figures(document, tmp_path / name) for name in ("one", "two"))
    assert {path.name for path in one} >= {f"flame-{arm}-asyncio.{kind}" for arm in ("httpx", "aiohttp") for kind in ("svg", "png")}
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


# --- colours

SIGHT = {
    "normal": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}  # Machado, Oliveira and Fernandes 2009, full severity


def seen(colour: str, sight: str) -> Any:
    """CIE L*a*b* of a colour as these eyes see it."""
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = SIGHT[sight] @ np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(linear, 0, 1)
    f = np.where(
        xyz / [0.95047, 1, 1.08883] > 0.008856, np.cbrt(xyz / [0.95047, 1, 1.08883]), 7.787 * xyz / [0.95047, 1, 1.08883] + 16 / 116
    )
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_classes_can_be_told_apart(theme: int, sight: str) -> None:
    # by normal and by colour-blind eyes, on both themes; and so can more and less
    assert set(CLASS_COLOURS) == set(CLASSES)
    for table, least in ((CLASS_COLOURS, 19), (CHANGE_COLOURS, 40)):
        for one, other in combinations(table, 2):
            assert math.dist(seen(table[one][theme], sight), seen(table[other][theme], sight)) > least, (one, other)


@pytest.mark.parametrize("colour", [colour for both in (*CLASS_COLOURS.values(), *CHANGE_COLOURS.values()) for colour in both])
def test_text_is_legible_on_every_colour(colour: str) -> None:
    # the contrast is 4.5 to 1 or more, as the accessibility guidelines ask for
    dark, light = sorted((luminance(colour), luminance(text_on(colour))))
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert text_on(colour) in class_style()
