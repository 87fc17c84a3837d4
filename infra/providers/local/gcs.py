"""Buckets of a local GCS server, through the JSON API that the server emulates."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

from infra.providers.base import ProviderError
from infra.providers.local.store import Unreachable

_TIMEOUT_SECONDS = 5.0
_PROJECT = "local"


class Gcs:
    """One server with the protocol of Google Cloud Storage, without credentials."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint.rstrip("/")

    def ensure(self, name: str, versioning: bool) -> None:
        """See `Store`."""
        wanted = {"name": name, "versioning": {"enabled": versioning}}
        found = self.versioning(name)
        if found is None:
            # 409: another made it meanwhile.
            self._ask("POST", f"/b?project={_PROJECT}", wanted, ignore=(409,))
        elif found != versioning:
            self._ask("PATCH", f"/b/{quote(name, safe='')}", wanted)

    def versioning(self, name: str) -> bool | None:
        """See `Store`."""
        found = self._ask("GET", f"/b/{quote(name, safe='')}", ignore=(404,))
        return None if found is None else bool(found.get("versioning", {}).get("enabled"))

    def is_empty(self, name: str) -> bool:
        """See `Store`."""
        found = self._ask("GET", f"/b/{quote(name, safe='')}/o?maxResults=1&versions=true")
        return not (found or {}).get("items")

    def remove(self, name: str) -> None:
        """See `Store`."""
        bucket = f"/b/{quote(name, safe='')}"
        page = ""
        while True:
            found = self._ask("GET", f"{bucket}/o?versions=true{page}", ignore=(404,)) or {}
            for item in found.get("items", []):
                path = f"{bucket}/o/{quote(item['name'], safe='')}?generation={item['generation']}"
                self._ask("DELETE", path, ignore=(404,))
            if not found.get("nextPageToken"):
                break
            page = f"&pageToken={quote(found['nextPageToken'], safe='')}"
        self._ask("DELETE", bucket, ignore=(404,))

    def _ask(self, method: str, path: str, body: Any = None, ignore: tuple[int, ...] = ()) -> dict[str, Any] | None:
        """The server's JSON answer; None for a status in `ignore`."""
        request = urllib.request.Request(
            f"{self._endpoint}/storage/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code in ignore:
                return None
            told = error.read(500).decode(errors="replace")
            raise ProviderError(f"{self._endpoint} would not {method} {path}: {error.code}: {told}") from error
        except OSError as error:
            raise Unreachable(f"nothing answers at {self._endpoint}: {error}") from error
