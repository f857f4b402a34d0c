"""Injected through PYTHONPATH: starts loopdiag's instruments, then hands over to the program's own sitecustomize.

Nothing here may break the program: whatever goes wrong is written to the recording and the program runs on unobserved.
"""

import os
import sys


def _start() -> None:
    folder = os.environ.get("LOOPDIAG_RECORD")
    if not folder:
        return
    import importlib.util

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        spec = importlib.util.spec_from_file_location(
            "loopdiag_instruments", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
        )
        if spec is None or spec.loader is None:
            raise ImportError("no loader for " + package)  # noqa: TRY301 - told like every other failure, below
        module = importlib.util.module_from_spec(spec)
        sys.modules["loopdiag_instruments"] = module
        spec.loader.exec_module(module)
        bootstrap = importlib.import_module("loopdiag_instruments.bootstrap")
        bootstrap.start(folder)
    except Exception as error:  # noqa: BLE001 - the program must run on, whatever it is
        sys.modules.pop("loopdiag_instruments", None)
        try:
            with open(os.path.join(folder, "instruments.failed"), "w") as file:
                file.write(f"{type(error).__name__}: {error}")
        except OSError:
            pass


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
