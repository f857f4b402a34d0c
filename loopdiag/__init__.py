"""loopdiag tells why the total time of N concurrent requests grows with N, and proves it.

The public interface: `load_scenario` reads a scenario, `record` runs it into a folder, `diagnose` says what the folder holds, `render` prints that.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loopdiag.lab.scenario_file import load_scenario
    from loopdiag.pipeline import diagnose, record
    from loopdiag.pipeline import rendered as render

__all__ = ["diagnose", "load_scenario", "record", "render"]

_PLACES = {
    "load_scenario": ("loopdiag.lab.scenario_file", "load_scenario"),
    "record": ("loopdiag.pipeline", "record"),
    "diagnose": ("loopdiag.pipeline", "diagnose"),
    "render": ("loopdiag.pipeline", "rendered"),
}


def __getattr__(name: str) -> object:
    """Load a public name when it is asked for, so that importing the package costs nothing."""
    if name not in _PLACES:
        raise AttributeError(f"module 'loopdiag' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)
