"""What every object store promises, one test a promise. Give the class a fixture `storage` and run it with pytest.

    class TestMemory(ObjectStorageSuite):
        @pytest.fixture
        def storage(self): ...

A store behind a server also runs `ServerPromises`, one that signs URLs `PresignPromises`, one whose unfinished uploads
can be listed `SweepPromises`. Where a server is known to differ, `differences` says how, and that is tested instead.
"""

from __future__ import annotations

import uuid

import pytest

from adapters.conformance.object_storage_about import AboutPromises
from adapters.conformance.object_storage_keys import KeyPromises
from adapters.conformance.object_storage_listing import ListingPromises
from adapters.conformance.object_storage_reading import ReadingPromises
from adapters.conformance.object_storage_swaps import SwapPromises
from adapters.conformance.object_storage_writing import WritingPromises


class ObjectStorageSuite(ReadingPromises, WritingPromises, SwapPromises, ListingPromises, KeyPromises, AboutPromises):
    """Every promise of the port `ObjectStorage` that needs no server of its own."""

    @pytest.fixture
    def place(self) -> str:
        """A folder of the store that no other test uses."""
        return f"{uuid.uuid4().hex[:12]}/"
