"""Bodies: JSON of an exact size, compressed to about a given one."""

import gzip
import json
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_parts import scenario

from loopdiag.errors import InputError
from loopdiag.lab.servers.behaviour import Behaviour
from loopdiag.lab.servers.document import document
from loopdiag.lab.servers.payload import TOLERANCE, Bodies
from loopdiag.lab.servers.tables import read_columns
from loopdiag.model.scenario import Payload


@given(st.integers(1, 10**6), st.integers(0, 30_000), st.integers(0, 40_000))
def test_a_document_is_json_of_exactly_its_size(number: int, size: int, hard: int) -> None:
    # every size from 1 byte is valid JSON of that size; 0 bytes are an empty body
    text = document(number, size, hard)
    assert len(text) == size
    if size:
        json.loads(text)


def test_a_large_document_looks_like_a_pokemon() -> None:
    # nested objects and lists, strings, numbers, booleans and nulls, and its own number
    pokemon = json.loads(document(25, 100_000, 2000))
    assert pokemon["id"] == 25
    assert {type(value) for value in pokemon.values()} >= {str, int, float, bool, list, type(None)}
    assert len(pokemon["moves"]) > 20
    assert pokemon["moves"][0]["version_group_details"][0]["version_group"]["name"]


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_hard_characters_make_a_document_larger_when_compressed(size: int, hard: int) -> None:
    # the calibration's handle pulls in one direction (up to gzip's granularity)
    small, large = (len(gzip.compress(document(1, size, count), 6)) for count in sorted((hard, size)))
    assert large >= small * 0.9 - 64


def test_the_shipped_table_is_met_within_its_tolerance() -> None:
    # json_bytes exactly and gzip_bytes within 15 %, for rows over the whole table (its smallest and largest among them)
    rows = [(int(size), int(packed or 0)) for size, packed in read_columns("pokeapi", "here", required="json_bytes", optional="gzip_bytes")]
    ordered = sorted(rows)
    by_ratio = sorted(rows, key=lambda row: row[0] / row[1])
    sample = list(dict.fromkeys([*ordered[:10], *ordered[::60], *ordered[-3:], by_ratio[0], by_ratio[-1]]))
    bodies = Bodies(sample, len(sample), gzip=True)  # type: ignore[arg-type] # a list of pairs without None
    for i, (size, packed) in enumerate(sample, start=1):
        sent = bodies[i].gzip
        assert sent is not None
        assert abs(len(sent) - packed) <= TOLERANCE * packed
        text = gzip.decompress(sent)
        assert len(text) == size
        assert json.loads(text)["id"] == i
        assert bodies[i].identity == text


def test_only_the_sweep_is_prepared_and_then_comes_again() -> None:
    # bodies for the largest N and no more; request N + 1 meets the first again
    behaviour = Behaviour(scenario(n=5, payload=Payload(law="table", table="pokeapi")))
    assert len(behaviour.bodies) == 5
    assert behaviour.body(6) is behaviour.body(1)
    first = (files("loopdiag") / "tables" / "pokeapi.csv").read_text().splitlines()[1].split(",")
    assert len(behaviour.body(1).identity) == int(first[1])


def test_ids_wrap_round_where_the_table_is_shorter(tmp_path: Path) -> None:
    # a table of 2 rows serves 5 requests
    table = tmp_path / "sizes.csv"
    table.write_text("json_bytes\n900\n1200\n")
    behaviour = Behaviour(scenario(n=5, payload=Payload(law="table", table=str(table))))
    assert [len(behaviour.body(i).identity) for i in range(1, 6)] == [900, 1200, 900, 1200, 900]


def test_a_table_without_gzip_sizes_compresses_as_json_does(tmp_path: Path) -> None:
    # gzip on, no gzip_bytes: the size before is exact, and the size after is somewhere that JSON lies
    table = tmp_path / "sizes.csv"
    table.write_text("json_bytes\n20000\n")
    body = Behaviour(scenario(payload=Payload(law="table", table=str(table), gzip=True))).body(1)
    assert body.gzip is not None
    assert len(body.identity) == 20000
    assert 20000 / 20 < len(body.gzip) < 20000 / 5


@pytest.mark.parametrize(("size", "packed"), [(5000, 500), (5000, 150), (5000, 3200), (300, 100), (300, 200), (100_000, 1000)])
def test_a_wide_range_of_ratios_is_met(size: int, packed: int) -> None:
    # from text that repeats itself to letters at random
    sent = Bodies([(size, packed)], 1, gzip=True)[1].gzip
    assert sent is not None
    assert abs(len(sent) - packed) <= TOLERANCE * packed
    assert len(json.loads(gzip.decompress(sent))) > 0


def test_equal_sizes_share_a_body() -> None:
    # a constant law prepares one body, however large N is
    bodies = Bodies([(5_000_000, None)] * 1000, 1000, gzip=False)
    assert bodies[1] is bodies[1000]


def test_bodies_beyond_a_gibibyte_are_refused_before_they_are_made() -> None:
    # one line with the size and what would be right
    with pytest.raises(InputError, match=r"target.payload: 9\.\d GiB of bodies for N = 1000; .* would be right"):
        Bodies([(10_000_000 + i, None) for i in range(1000)], 1000, gzip=False)


def test_a_gzip_size_that_json_cannot_have_is_named(tmp_path: Path) -> None:
    # random letters compress to two thirds at best: the row, the sizes, and what would be right
    table = tmp_path / "sizes.csv"
    table.write_text("json_bytes,gzip_bytes\n5000,500\n5000,4999\n")
    with pytest.raises(InputError, match=r"row 2: gzip_bytes 4999 of json_bytes 5000 cannot be reached; \d+ would be right"):
        _ = Behaviour(scenario(payload=Payload(law="table", table=str(table), gzip=True))).bodies
