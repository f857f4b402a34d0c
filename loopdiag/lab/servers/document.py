"""JSON text of an exact length that looks like a Pokémon document and compresses as well, or as badly, as asked."""

from functools import cache
from random import Random

#: compressed bytes of one hard character, about; how well the rest compresses, about
HARD_BYTES, SOFT_RATIO = 0.66, 65
DEFAULT_HARD_SHARE = 0.12  # gives about a tenth, as JSON of web services does

POOL_CHARACTERS = 1 << 17  # far more than gzip's window of 32 KiB, so that repeating the pool does not compress
GROUPS = (
    *("red-blue", "yellow", "gold-silver", "crystal", "ruby-sapphire", "emerald", "firered-leafgreen", "diamond-pearl"),
    *("platinum", "heartgold-soulsilver", "black-white", "black-2-white-2", "x-y", "sun-moon", "sword-shield", "scarlet-violet"),
)
SITE = "https://pokeapi.co/api/v2"  # a name inside the text; nothing is ever fetched from there
WORDS = "a strange seed was planted on its back at birth and the plant sprouts and grows with it "


def document(number: int, size: int, hard: int = 0, *, flat: bool = False) -> bytes:
    """Make valid JSON of exactly `size` bytes.

    Args:
        number: of the request; the document's id.
        size: in bytes; 0 gives an empty body, the only one that is not JSON.
        hard: how many of its characters shall be hard to compress, as far as they find room.
        flat: a single string instead of a Pokémon; it compresses to next to nothing.
    """
    head, tail = _head(number), '],"description":"'
    if flat or size < len(head) + len(tail) + 2:
        return _small(number, size, hard).encode()
    room = size - len(head) - len(tail) - 2
    moves, spent = _moves(number, room, hard)
    description = _text(number, room - len(moves), hard - spent, spent)
    return f'{head}{moves}{tail}{description}"}}'.encode()


def _small(number: int, size: int, hard: int) -> str:
    """A name and nothing else, or less."""
    if size < 2:
        return "0"[:size]
    before, after = ('{"name":"', '"}') if size >= 11 else ('"', '"')
    return before + _text(number, size - len(before) - len(after), hard) + after


def _head(number: int) -> str:
    abilities = ",".join(
        f'{{"ability":{{"name":"{name}","url":"{SITE}/ability/{65 - 31 * slot}/"}},"is_hidden":{("false", "true")[slot]},"slot":{slot + 1}}}'
        for slot, name in enumerate(("overgrow", "chlorophyll"))
    )
    stats = ",".join(
        f'{{"base_stat":{45 + (number * place) % 60},"effort":{place % 2},"stat":{{"name":"{name}","url":"{SITE}/stat/{place}/"}}}}'
        for place, name in enumerate(("hp", "attack", "defense", "speed"), start=1)
    )
    return (
        f'{{"id":{number},"name":"pokemon-{number}","order":{number},"base_experience":{64 + number % 200},"height":{7 + number % 30},'
        f'"weight":{(69 + number % 900) / 10},"is_default":true,"held_items":[],"past_types":null,'
        f'"abilities":[{abilities}],"stats":[{stats}],"moves":['
    )


def _moves(number: int, room: int, hard: int) -> tuple[str, int]:
    """Moves that fit into `room`, with the hard characters spread over their names, and how many of these were spent."""
    details = _details()
    each = hard // max(1, room // (len(details[-1]) * 2 // 3))
    parts: list[str] = []
    spent = move = 0
    while True:
        share = min(each, hard - spent)
        named = f'{{"move":{{"name":"move-{_text(number, share, share, spent)}","url":"{SITE}/move/{13 + move % 90}/"}},"version_group_details":['
        part = f"{',' if parts else ''}{named}{details[(number + 5 * move) % len(details)]}]}}"
        if len(part) > room:
            return "".join(parts), spent
        parts.append(part)
        room, spent, move = room - len(part), spent + share, move + 1


@cache
def _details() -> tuple[str, ...]:
    """Lists of 4, 8, 12 and 16 version groups, inside."""
    entries = [
        f'{{"level_learned_at":{(0, 7, 22)[place % 3]},"move_learn_method":{{"name":"machine","url":"{SITE}/move-learn-method/4/"}},"order":null,'
        f'"version_group":{{"name":"{name}","url":"{SITE}/version-group/{place + 1}/"}}}}'
        for place, name in enumerate(GROUPS)
    ]
    return tuple(",".join(entries[:count]) for count in (4, 8, 12, 16))


@cache
def _pool() -> str:
    return "".join(Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=POOL_CHARACTERS))


def _text(number: int, length: int, hard: int, start: int = 0) -> str:
    """`length` characters of a JSON string, of which the first `hard` do not compress; `start` of the document's were used before."""
    hard = max(0, min(hard, length))
    pool, at = _pool(), (number * 7919 + start) % POOL_CHARACTERS
    noise = pool[at : at + hard]
    if len(noise) < hard:
        noise += (pool * (hard // POOL_CHARACTERS + 1))[: hard - len(noise)]
    soft = length - hard
    return noise + (WORDS * (soft // len(WORDS) + 1))[:soft]
