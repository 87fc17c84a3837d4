"""What a bucket needs of a local object store, whichever protocol it speaks."""

from __future__ import annotations

from typing import Protocol

from infra.providers.base import ProviderError


class Unreachable(ProviderError):
    """Nothing answers at the endpoint: the server is down, or not up yet."""


class Store(Protocol):
    """One server. Every method raises Unreachable, or ProviderError with the server's reason."""

    def ensure(self, name: str, versioning: bool) -> None:
        """The bucket exists and keeps old versions or not, as asked; one that exists already is taken over."""
        ...

    def versioning(self, name: str) -> bool | None:
        """Whether the bucket keeps old versions; None when there is no such bucket."""
        ...

    def is_empty(self, name: str) -> bool:
        """Whether the bucket holds no object, old versions included."""
        ...

    def remove(self, name: str) -> None:
        """Remove the bucket with all it holds; succeeds when it is gone already."""
        ...
