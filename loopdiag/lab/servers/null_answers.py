"""What a null server knows: the answers to each of a program's requests, in the order in which the requests came."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

MOST_BYTES = 256 << 20
EXPECTS = "100-continue"


class Question(NamedTuple):
    """A request, as far as its answer hangs on it.

    Attributes:
        method, host: of it.
        path: with its query.
        rest: a digest of its body and its Range, "" without both; EXPECTS: the question whether its body is wanted, which comes before it.
    """

    method: str
    host: str
    path: str
    rest: str = ""


@dataclass(frozen=True)
class Answer:
    """What a server said, as it came.

    Attributes:
        head: with the empty line after it.
        body: what followed, as on the wire.
        closes: it ended its connection after it.
    """

    head: bytes
    body: bytes = b""
    closes: bool = False


CONTINUE = Answer(b"HTTP/1.1 100 Continue\r\n\r\n")
MISSED = Answer(b"HTTP/1.1 502 Not Recorded\r\nContent-Length: 0\r\n\r\n")
Known = Mapping[Question, tuple[Answer, ...]]


@dataclass
class Slot:
    """The place of one request's answer; None: it has not come."""

    answer: Answer | None = None


class Answers:
    """The answers while they come; equal bodies are held once."""

    def __init__(self) -> None:
        self._slots: dict[Question, list[Slot]] = {}
        self._bodies: dict[bytes, bytes] = {}
        self._size = 0

    def asked(self, question: Question, slot: Slot) -> None:
        """A request came, whose answer is in `slot`, or will be."""
        self._slots.setdefault(question, []).append(slot)

    def room(self, size: int) -> bool:
        """Whether there is room for so many bytes more, which then are taken."""
        if self._size + size > MOST_BYTES:
            return False
        self._size += size
        return True

    def made(self, raw: bytes, *, closes: bool) -> Answer:
        """The answer of these bytes, for which there was room."""
        head, end, body = raw.partition(b"\r\n\r\n")
        known = self._bodies.setdefault(body, body)
        if known is not body:
            self._size -= len(body)
        return Answer(head + end, known, closes)

    def known(self) -> Known:
        """What came; requests that nobody answered are left out.

        Raises:
            ValueError: nothing did.
        """
        came = {question: tuple(slot.answer for slot in slots if slot.answer is not None) for question, slots in self._slots.items()}
        known = {question: answers for question, answers in came.items() if answers}
        if not known:
            raise ValueError("no server answered the program" if came else "the program sent it no request")
        return known


class Replay:
    """What one trial is answered.

    Attributes:
        missed: how many requests there was no answer to.
    """

    def __init__(self, known: Known) -> None:
        self._known, self.missed = known, 0
        self._given: dict[Question, int] = {}

    def answer(self, question: Question) -> Answer:
        """The next answer to a question; the last one stays."""
        answers = self._known.get(question)
        if answers is None:
            self.missed += 1
            return MISSED
        given = self._given.get(question, 0)
        self._given[question] = given + 1
        return answers[min(given, len(answers) - 1)]


def listed(known: Known) -> list[dict[str, Any]]:
    """What is known, for a file: a body stands where its number comes first."""
    numbers: dict[bytes, int] = {}

    def told(answer: Answer) -> dict[str, Any]:
        new = answer.body not in numbers
        row = {"head": answer.head.decode("latin-1"), "closes": answer.closes, "number": numbers.setdefault(answer.body, len(numbers))}
        return row | {"body": base64.b64encode(answer.body).decode("ascii")} if new else row

    return [question._asdict() | {"answers": [told(answer) for answer in answers]} for question, answers in known.items()]
