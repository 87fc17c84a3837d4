"""Every run of these tests prints the matrix of drivers and promises; and what they share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.settings import Secret
from tests.conformance.matrix import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_pyfunc_call,
    pytest_terminal_summary,
)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Secret]:
    """A reference to a value, as settings want it."""
    folder = tmp_path_factory.mktemp("secrets")

    def reference(value: str) -> Secret:
        path = folder / value
        path.write_text(value)
        return Secret(f"file:{path}")

    return reference
