"""Every run of these tests prints the matrix of drivers and promises."""

from tests.conformance.matrix import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_pyfunc_call,
    pytest_terminal_summary,
)
