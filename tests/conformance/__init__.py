"""Every driver of a port against the port's suite, on real servers."""

import pytest

# The suites are not test modules by name, so pytest must be told to show what an assertion compared.
pytest.register_assert_rewrite("adapters.conformance")
