"""What tests do without what they need: skip, or fail where the project's own environment should have had it."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test, because `what` is not here; with ``CI=true``, where `make test` and .ci/run install it, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and with CI=true this test must run")
    pytest.skip(what)
