"""Ctrl-C and SIGTERM during a run: the first one stops it, in a place where nothing is lost; more of them do not disturb the clean-up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Turns the first signal into a KeyboardInterrupt, at once or, inside `held`, at its end; all later ones are taken and ignored."""

    def __init__(self) -> None:
        self.asked = False
        self._holding = 0
        self._raised = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals over; outside the main thread there is nothing to take."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What runs inside is finished first."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
        self._raise()

    def done(self) -> None:
        """The run is over: only clean-up follows, and it is not to be interrupted."""
        self._raised = True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        self._raise()

    def _raise(self) -> None:
        if self.asked and not self._holding and not self._raised:
            self._raised = True
            raise KeyboardInterrupt
