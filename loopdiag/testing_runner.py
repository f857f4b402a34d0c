"""A program that runs one async function with one number of requests: `loopdiag.testing` starts it; it needs nothing but the function's own module.

python testing_runner.py SYS_PATH_AS_JSON MODULE FILE QUALNAME N [ARG…]
"""

import asyncio
import importlib
import importlib.util
import json
import sys
from types import ModuleType
from typing import Any


def loaded(name: str, file: str) -> ModuleType:
    """The function's module by its name, or, where that leads nowhere or is a program's own, by its file."""
    if name != "__main__":
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
    spec = importlib.util.spec_from_file_location("loopdiag_tested", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(places: str, module: str, file: str, qualname: str, n: str, *args: str) -> None:
    """Run the function."""
    sys.path[:1] = []  # the folder of this very file, whose modules are not the user's
    sys.path[:0] = [place for place in json.loads(places) if place not in sys.path]
    function: Any = loaded(module, file)
    for name in qualname.split("."):
        function = getattr(function, name)
    asyncio.run(function(int(n), *args))


if __name__ == "__main__":
    main(*sys.argv[1:])
