"""Kubernetes secrets: the files mounted into this pod first, then the API.

A secret called `db-password` is the object `<prefix>db-password` with its value under the key `value`; mounted, it is the
file `<folder>/<prefix>db-password`. The API is asked as the pod's service account, or as the kubeconfig says.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import msgspec

from adapters import missing
from adapters.drivers.secrets import names
from adapters.drivers.secrets.file import FileSecrets
from adapters.errors import AdapterError, Denied, Invalid, NotFound, Transient
from adapters.settings import SecretsSettings

KEY = "value"
TIMEOUT_SECONDS = 10.0
STATUSES: dict[int, tuple[type[AdapterError], str]] = {
    401: (Denied, "check the pod's service account, or the kubeconfig"),
    403: (Denied, "let this service account get secrets in secrets.namespace"),
    404: (NotFound, "create it, or check secrets.prefix and secrets.namespace"),
    429: (Transient, ""),
}


class _Answer(msgspec.Struct):
    data: dict[str, str] = msgspec.field(default_factory=dict)


class _Status(msgspec.Struct):
    message: str = ""


def open(section: SecretsSettings) -> KubernetesSecrets:
    """The secrets mounted at `section.folder`, those of `section.namespace`, or both. Raises Invalid for neither."""
    if not section.folder and not section.namespace:
        raise Invalid(
            "neither a folder nor a namespace is named",
            name="secrets",
            cure="set ISTHMUS_SECRETS_FOLDER to where they are mounted, or ISTHMUS_SECRETS_NAMESPACE",
        )
    # What the kubelet mounts is the pod's own; its modes are the volume's and say nothing.
    mounted = FileSecrets(Path(section.folder), prefix=section.prefix, private=False) if section.folder else None
    api = ApiSecrets(_client(section.endpoint), section.namespace, section.prefix) if section.namespace else None
    return KubernetesSecrets(mounted, api)


class KubernetesSecrets:
    """The mounted files where there are any, and the API for what is not among them."""

    def __init__(self, mounted: FileSecrets | None, api: ApiSecrets | None) -> None:
        self._mounted, self._api = mounted, api

    def get(self, name: str) -> str:
        if self._mounted is not None:
            try:
                return self._mounted.get(name)
            except NotFound:
                if self._api is None:
                    raise
        assert self._api is not None  # `open` saw to it that there is one of the two
        return self._api.get(name)

    def close(self) -> None:
        """Free the connections."""
        if self._api is not None:
            self._api.close()


class ApiSecrets:
    """Secrets of one namespace through the API, in the newest version that it serves."""

    def __init__(self, client: Any, namespace: str, prefix: str = "") -> None:
        self._client, self._namespace, self._prefix = client, namespace, prefix

    def get(self, name: str) -> str:
        value = _value(self._ask(names.checked(name)))
        if value is None:
            raise Invalid(f"this secret has no UTF-8 text under the key {KEY!r}", name=name, cure=f"store it as {KEY}")
        return value

    def _ask(self, name: str) -> bytes:
        from kubernetes.client import ApiException, CoreV1Api
        from urllib3.exceptions import HTTPError

        try:
            # The raw answer: the client's own parser quotes what it could not understand.
            answer: Any = CoreV1Api(self._client).read_namespaced_secret(
                self._prefix + name, self._namespace, _preload_content=False, _request_timeout=TIMEOUT_SECONDS
            )
        except ApiException as error:
            status = error.status or 500
            ours, cure = STATUSES.get(status, (Transient if status >= 500 else Invalid, ""))
            raise ours(f"{status}: {_message(error.body or '')}", name=name, cure=cure) from error
        except (HTTPError, OSError) as error:
            raise Transient(f"the Kubernetes API cannot be reached: {error}", name=name) from error
        return answer.data

    def close(self) -> None:
        """Free the connections."""
        self._client.rest_client.pool_manager.clear()


def _client(endpoint: str) -> Any:
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise missing("kubernetes", extra="onprem") from error
    settings = client.Configuration()
    if endpoint:
        settings.host = endpoint
    else:
        try:
            _log_in(config, settings)
        except (config.ConfigException, OSError) as error:
            cure = "run in a pod, set KUBECONFIG, or set ISTHMUS_SECRETS_ENDPOINT"
            raise Denied(f"no way to the Kubernetes API: {error}", name="secrets", cure=cure) from error
    settings.retries = 1
    return client.ApiClient(settings)


def _log_in(config: Any, settings: Any) -> None:
    """As the pod's service account in a pod, as the kubeconfig's user elsewhere."""
    try:
        config.load_incluster_config(client_configuration=settings)
    except config.ConfigException:
        config.load_kube_config(client_configuration=settings)


def _message(body: str) -> str:
    try:
        return msgspec.json.decode(body, type=_Status).message
    except msgspec.DecodeError:
        return "no reason given"


def _value(body: bytes) -> str | None:
    # Neither decoder's error may leave with what it was given.
    try:
        encoded = msgspec.json.decode(body, type=_Answer).data.get(KEY)
        return None if encoded is None else names.text(base64.b64decode(encoded, validate=True))
    except (msgspec.DecodeError, binascii.Error):
        return None
