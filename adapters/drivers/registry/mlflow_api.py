"""The part of MLflow's REST API 2.0 that the registry needs, over HTTP: no package of MLflow's own is installed."""

from __future__ import annotations

import base64
import contextlib
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters import missing
from adapters.errors import AdapterError, Conflict, Denied, Invalid, NotFound, Transient
from adapters.settings import RegistrySettings, reveal

try:
    import httpx
except ImportError as error:
    raise missing("httpx", extra="runtime") from error

BY_CODE: Final[dict[str, type[AdapterError]]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "RESOURCE_ALREADY_EXISTS": Conflict,
    "PERMISSION_DENIED": Denied,
    "UNAUTHENTICATED": Denied,
    "CUSTOMER_UNAUTHORIZED": Denied,
}
BY_STATUS: Final[dict[int, type[AdapterError]]] = {401: Denied, 403: Denied, 429: Transient}
URL_CURE: Final = "set registry.mlflow_url to the address of an MLflow tracking server, such as http://mlflow:5000"
ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.1
PAGE: Final = 500
CONNECTIONS: Final = 32


@dataclass(frozen=True, slots=True)
class Stored:
    """A model version as MLflow has it."""

    name: str
    number: int
    tags: dict[str, str]


class MlflowApi:
    """One tracking server. Every wait is bounded by `timeout_seconds`; safe for use by several threads at once."""

    def __init__(self, settings: RegistrySettings, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Contacts nobody. Raises Invalid for what is not a URL."""
        self._timeout_seconds, self._sleep = settings.timeout_seconds, sleep
        try:
            url = httpx.URL(settings.mlflow_url)
        except httpx.InvalidURL as error:
            raise Invalid(f"not a URL: {error}", name=settings.mlflow_url, cure=URL_CURE) from error
        if url.scheme not in ("http", "https") or not url.host:
            raise Invalid("expected http:// or https:// and a host", name=settings.mlflow_url, cure=URL_CURE)
        self.url = str(url).rstrip("/")
        self._client = httpx.Client(
            base_url=f"{self.url}/api/2.0/mlflow/",
            headers=_authorization(settings),
            # The system's authorities take a while to load: only for whom they are asked about.
            verify=url.scheme == "https" and ssl.create_default_context(cafile=settings.ca_file or None),
            timeout=self._timeout_seconds,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            trust_env=False,  # where this process talks to is for the settings to say
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # ---------------------------------------------------------------------------------------------- model versions

    def versions(self, where: str, *, most: int | None = None) -> list[Stored]:
        """Model versions that MLflow's filter finds, by name and number, `most` of them or all."""
        found: list[Stored] = []
        fields: dict[str, Any] = {"filter": where, "order_by": ["name ASC", "version_number ASC"], "max_results": PAGE}
        while True:
            answer = self.get("model-versions/search", fields)
            found += map(_stored, answer.get("model_versions", []))
            token = answer.get("next_page_token")
            if not token or (most is not None and len(found) >= most):
                return found[:most]
            fields["page_token"] = token

    def create_version(self, name: str, **fields: Any) -> int:
        """A new version of the registered model; the number that MLflow gave it. Never sent twice.

        Raises NotFound where there is no such model, and Transient where nobody knows whether it was made.
        """
        answer = self._once("POST", "model-versions/create", {"name": name, **fields})
        return _stored(answer["model_version"]).number

    # ---------------------------------------------------------------------------------------------------- any call

    def get(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a question, asked again after a passing fault."""
        return self._again("GET", path, fields)

    def post(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Make it so, sent again after a passing fault: only for what may be done twice."""
        return self._again("POST", path, fields)

    def delete(self, path: str, fields: Mapping[str, Any]) -> None:
        """Make sure that it is not there, sent again after a passing fault."""
        with contextlib.suppress(NotFound):
            self._again("DELETE", path, fields)

    def _again(self, verb: str, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        for attempt in range(1, ATTEMPTS):
            try:
                return self._once(verb, path, fields)
            except Transient:
                self._sleep(random.uniform(0, PAUSE_SECONDS * 2**attempt))
        return self._once(verb, path, fields)

    def _once(self, verb: str, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if verb == "GET":
                response = self._client.get(path, params=dict(fields))
            else:
                response = self._client.request(verb, path, json=dict(fields))
        except httpx.TimeoutException as error:
            raise Transient(f"no answer to {path} in {self._timeout_seconds:g} s", name=self.url) from error
        except httpx.HTTPError as error:
            raise Transient(
                f"MLflow does not answer: {error}", name=self.url, cure=f"is it running? Else {URL_CURE}"
            ) from error
        return self._understood(response, path)

    def _understood(self, response: httpx.Response, path: str) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code == 200 and isinstance(answer, dict):
            return answer
        code, message = _fault(answer, response)
        kind = BY_CODE.get(code) or BY_STATUS.get(response.status_code)
        if kind is None and response.status_code >= 500:
            kind = Transient
        if kind is Denied:
            raise Denied(
                message, name=self.url, cure="check registry.username and registry.token, and their rights there"
            )
        if kind is None and not code:
            raise Invalid(
                f"what answers there does not speak MLflow's REST API: HTTP {response.status_code} to {path}",
                name=self.url,
                cure=URL_CURE,
            )
        raise (kind or Invalid)(f"MLflow says {code or response.status_code}: {message}", name=self.url)


def _fault(answer: Any, response: httpx.Response) -> tuple[str, str]:
    """MLflow's error code, empty where this is none of its answers, and what it says."""
    if isinstance(answer, dict) and isinstance(answer.get("error_code"), str):
        return answer["error_code"], str(answer.get("message", ""))[:500]
    return "", " ".join(response.text[:200].split()) or f"HTTP {response.status_code}"


def _authorization(settings: RegistrySettings) -> dict[str, str]:
    token = reveal(settings.token)
    if not token:
        return {}
    username = reveal(settings.username)
    if username:
        return {"Authorization": "Basic " + base64.b64encode(f"{username}:{token}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"}


def _stored(answer: Mapping[str, Any]) -> Stored:
    tags = {tag["key"]: tag.get("value", "") for tag in answer.get("tags", [])}
    return Stored(answer["name"], int(answer["version"]), tags)


def pauses(deadline: float) -> Iterator[None]:
    """A random wait, longer and longer, before each further attempt, as long as the monotonic clock is not past it."""
    longest = PAUSE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(random.uniform(0, longest))
        longest = min(longest * 2, 2.0)
