"""Injected through PYTHONPATH: starts loopdiag's instruments, then hands over to the program's own sitecustomize.

Nothing here may break the program: whatever goes wrong is written to the recording and the program runs on unobserved.  Pythons that are too old for the
instruments have to read this file, too.
"""

import os
import sys

OLDEST = (3, 10)


def _start() -> None:
    folder = os.environ.get("LOOPDIAG_RECORD")
    if not folder:
        return
    program = os.environ.get("LOOPDIAG_PROGRAM") == "1"
    try:
        _require_known_python()
        _load()
        import importlib

        if program:
            importlib.import_module("loopdiag_instruments.processes").start(folder)
        else:
            importlib.import_module("loopdiag_instruments.bootstrap").start(folder)
    except Exception as error:  # noqa: BLE001 - the program must run on, whatever it is
        sys.modules.pop("loopdiag_instruments", None)
        name = "failed-" + str(os.getpid()) if program else "instruments.failed"
        try:
            with open(os.path.join(folder, name), "w") as file:
                file.write(str(error) if isinstance(error, _Unknown) else "{}: {}".format(type(error).__name__, error))  # noqa: UP032 - read by old Pythons
        except OSError:
            pass


class _Unknown(Exception):
    """This Python is none that the instruments know."""


def _require_known_python() -> None:
    implementation = getattr(sys.implementation, "name", "")
    version = ".".join(map(str, sys.version_info[:2]))
    if implementation != "cpython":
        raise _Unknown("the program runs on " + implementation + " " + version + "; the instruments know CPython alone")
    if sys.version_info < OLDEST:
        raise _Unknown("the program runs on Python " + version + "; the instruments need Python 3.10 or newer")
    locks = getattr(sys, "_is_gil_enabled", None)
    if locks is not None and not locks():
        raise _Unknown(
            "the program runs on a free-threaded Python " + version + "; the instruments count on its lock, which PYTHON_GIL=1 switches on"
        )


def _load() -> None:
    """Put the instruments' package there under a name of its own, whatever the program has on its path."""
    package = type(sys)("loopdiag_instruments")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    sys.modules["loopdiag_instruments"] = package


def _hand_over() -> None:
    """Run the sitecustomize that would have run without us."""
    import importlib.machinery

    here = os.path.dirname(os.path.abspath(__file__))
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    sys.path[:] = path  # the program sees its own path, too
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    import importlib.util

    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


_start()
_hand_over()
