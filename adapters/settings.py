"""What a process reads to find its platform: one document, one environment schema, on every cloud.

    CLOUD_PROVIDER=gcp ISTHMUS_SETTINGS=outputs.json python -m runtime.serve.main

The document is what `infra` writes after an update (`PlatformOutputs.settings`). Any field can be set over it by a variable
named after its place: `ISTHMUS_STORAGE_BUCKET` is `storage.bucket`. Nothing else of ours reads `os.environ`; the vendor
SDKs' own credential chains are the declared exception.

No secret stands in a document. A field of type `Secret` holds a reference: `file:/run/secrets/x`, `env:NAME`,
`secret:NAME` (asked of the cloud's secret manager), or nothing, which leaves it to the SDK's own chain.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import msgspec

from adapters.errors import Invalid, NotFound

CLOUDS_FOLDER = Path(__file__).parent / "clouds"
DOCUMENT_SCHEMA = 1

Secret = NewType("Secret", str)
"""A reference to a secret value, never the value."""

NO_SECRET = Secret("")
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    pass


class StorageSettings(_Section, frozen=True):
    """Object storage: a bucket of S3, of an S3-compatible store or of GCS, and a prefix inside it."""

    bucket: str = ""
    prefix: str = ""
    """Put before every key; ends in "/" or is empty."""
    endpoint: str = ""
    """Base URL of an S3-compatible store or emulator; empty means the cloud's own."""
    region: str = ""
    project: str = ""
    """GCP only."""
    access_key: Secret = NO_SECRET
    secret_key: Secret = NO_SECRET
    ca_file: str = ""
    """PEM file of the authority that signed the endpoint's certificate; empty means the system's."""
    timeout_seconds: float = 60.0
    """Over one whole operation, retries included; a bulk or streamed one counts it per object or part."""


class QueueSettings(_Section, frozen=True):
    """Kafka and how to prove who we are to it."""

    brokers: str = ""
    """`host:port`, several separated by commas."""
    auth: Literal["none", "plain", "scram-sha-256", "scram-sha-512", "aws-msk-iam", "gcp-oauth"] = "none"
    tls: bool = False
    ca_file: str = ""
    username: Secret = NO_SECRET
    password: Secret = NO_SECRET
    region: str = ""
    """For `aws-msk-iam`."""
    replication: int = 1
    """Copies of each partition of a topic that we create."""


class KeyValueSettings(_Section, frozen=True):
    """Redis or Valkey, one server or a cluster."""

    host: str = ""
    port: Port = 6379
    tls: bool = False
    ca_file: str = ""
    cluster: bool = False
    username: Secret = NO_SECRET
    password: Secret = NO_SECRET
    prefix: str = ""
    timeout_seconds: float = 2.0


class DatabaseSettings(_Section, frozen=True):
    """The relational database."""

    url: str = ""
    """SQLAlchemy URL without a password: `sqlite:////data/isthmus.db`, `postgresql+psycopg://user@host/name`."""
    password: Secret = NO_SECRET


class SecretsSettings(_Section, frozen=True):
    """The secret manager."""

    folder: str = ""
    """For `local`, and for mounted Kubernetes secrets: one file per secret."""
    prefix: str = ""
    """Put before every name."""
    endpoint: str = ""
    region: str = ""
    project: str = ""
    namespace: str = ""
    """For `onprem`: the Kubernetes namespace."""


class RegistrySettings(_Section, frozen=True):
    """The model registry: in object storage, or its records in MLflow."""

    mlflow_url: str = ""
    """Base URL of an MLflow tracking server; empty keeps the records in object storage, beside the files."""
    token: Secret = NO_SECRET
    """For MLflow: a bearer token, or with `username` the password."""
    username: Secret = NO_SECRET
    ca_file: str = ""
    timeout_seconds: float = 30.0
    """Over one request to MLflow, and over a change that others keep getting ahead of."""


class LauncherSettings(_Section, frozen=True):
    """Where tasks run: a folder of this machine that holds their records and logs."""

    folder: str = ""


class Settings(_Section, frozen=True):
    """Everything a process knows about its platform."""

    cloud: str
    schema: int = DOCUMENT_SCHEMA
    environment: str = "local"
    emulated: bool = False
    """The adapters of `cloud` talk to local servers. Said wherever the cloud is named."""
    storage: StorageSettings = StorageSettings()
    queue: QueueSettings = QueueSettings()
    key_value: KeyValueSettings = KeyValueSettings()
    database: DatabaseSettings = DatabaseSettings()
    secrets: SecretsSettings = SecretsSettings()
    launcher: LauncherSettings = LauncherSettings()
    registry: RegistrySettings = RegistrySettings()

    @classmethod
    def load(cls, document: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> Settings:
        """From a document (or the one `ISTHMUS_SETTINGS` names, or none) with the environment's variables over it.

        Raises Invalid, naming the file or variable, what was expected and the cure; NotFound for a document that is not
        there. A document of another cloud than `CLOUD_PROVIDER` is refused.
        """
        environ = os.environ if environ is None else environ
        source = str(document or environ.get("ISTHMUS_SETTINGS", ""))
        fields: dict[str, Any] = _read(Path(source)) if source else {}
        wanted = requested_cloud(environ)
        stored = fields.get("cloud", "")
        if wanted and stored and wanted != stored:
            raise Invalid(
                f"these settings are for cloud {stored!r}, but CLOUD_PROVIDER is {wanted!r}",
                name=source,
                cure=f"unset CLOUD_PROVIDER, or name the settings of {wanted!r}",
            )
        fields["cloud"] = wanted or known_cloud(stored or "local")
        _overlay(fields, environ)
        return _convert(fields, source or "the environment")

    def to_json(self) -> bytes:
        """The document, indented, defaults left out; `load` reads it back to an equal value."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @property
    def label(self) -> str:
        """The cloud's name for people, which says when it is emulated."""
        return f"{self.cloud} (emulated)" if self.emulated else self.cloud


def clouds() -> list[str]:
    """Names of the clouds there are adapters for: the folders of `adapters/clouds`."""
    return sorted(entry.name for entry in CLOUDS_FOLDER.iterdir() if (entry / "__init__.py").is_file())


def known_cloud(name: str) -> str:
    """`name`, if there are adapters for it. Raises Invalid with the names that are known."""
    if name in (known := clouds()):
        return name
    raise Invalid(
        f"unknown cloud {name!r}", name="CLOUD_PROVIDER", cure=f"the clouds known here are {', '.join(known)}"
    )


def requested_cloud(environ: Mapping[str, str] | None = None) -> str:
    """The value of CLOUD_PROVIDER, which may be empty. Raises Invalid for one that is not known."""
    name = (os.environ if environ is None else environ).get("CLOUD_PROVIDER", "")
    return known_cloud(name) if name else ""


class _Held(str):
    """A `secret:NAME` reference that knows whom to ask. As text, and so in every print, it is only the reference."""

    ask: Callable[[str], str]


def bound(settings: Settings, ask: Callable[[str], str]) -> Settings:
    """Equal settings whose `secret:NAME` references `reveal` resolves with `ask(NAME)`, anew each time."""

    def held(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("secret:"):
            return value
        reference = _Held(value)
        reference.ask = ask
        return reference

    sections = {name: getattr(settings, name) for name in _sections()}
    return msgspec.structs.replace(
        settings,
        **{
            name: msgspec.structs.replace(
                section, **{field: held(value) for field, value in msgspec.structs.asdict(section).items()}
            )
            for name, section in sections.items()
        },
    )


def reveal(reference: Secret, *, environ: Mapping[str, str] | None = None) -> str | None:
    """The value behind a reference, None for an empty one. Keep it in a local variable, print it never.

    `secret:` is asked of the cloud's manager, in settings that `connect` has bound to it. Raises NotFound or Denied when
    it is not to be had, Invalid for another kind of reference (never quoting it: it may be a value that
    somebody put where a reference belongs).
    """
    kind, _, place = reference.partition(":")
    if not reference:
        return None
    if kind == "file" and place:
        try:
            return Path(place).read_text().rstrip("\n")
        except OSError as error:
            raise NotFound(f"cannot read this secret's file: {error.strerror}", name=place) from error
    if kind == "env" and place:
        value = (os.environ if environ is None else environ).get(place)
        if value is None:
            raise NotFound("this secret's variable is not set", name=place)
        return value
    if kind == "secret" and isinstance(reference, _Held):
        return reference.ask(place)
    raise Invalid("a secret must be given as file:PATH, env:NAME or secret:NAME", cure="never write the value itself")


def variables() -> dict[str, str]:
    """Every variable of the schema with the place in the document that it sets."""
    return {
        f"ISTHMUS_{section}_{name}".upper(): f"{section}.{name}"
        for section, kind in _sections().items()
        for name in kind.__struct_fields__
    }


def _sections() -> dict[str, type[_Section]]:
    defaults = Settings(cloud="local")
    values = {name: getattr(defaults, name) for name in Settings.__struct_fields__}
    return {name: type(value) for name, value in values.items() if isinstance(value, _Section)}


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise NotFound(
            f"cannot read the settings: {error.strerror}", name=str(path), cure="`isthmus up` writes them"
        ) from error
    except msgspec.DecodeError as error:
        raise Invalid(
            f"not a settings document: {error}", name=str(path), cure="`isthmus up` writes it anew"
        ) from error
    if not isinstance(fields, dict):
        raise Invalid("a settings document is a JSON object", name=str(path), cure="`isthmus up` writes it anew")
    if fields.get("schema", DOCUMENT_SCHEMA) != DOCUMENT_SCHEMA:
        raise Invalid(
            f"the document has schema {fields['schema']!r}, this version reads {DOCUMENT_SCHEMA}",
            name=str(path),
            cure="run `isthmus up` with the version that this process is of",
        )
    return fields


def _overlay(fields: dict[str, Any], environ: Mapping[str, str]) -> None:
    places = variables()
    sections = tuple(f"ISTHMUS_{section}_".upper() for section in _sections())
    for name, value in environ.items():
        if name in places:
            section, field = places[name].split(".")
            fields.setdefault(section, {})[field] = value
        elif name.startswith(sections):
            near = [known for known in places if known.rsplit("_", 1)[0] == name.rsplit("_", 1)[0]] or list(places)
            raise Invalid("unknown variable", name=name, cure=f"known here: {', '.join(near)}")
    if environment := environ.get("ISTHMUS_ENVIRONMENT"):
        fields["environment"] = environment


def _convert(fields: dict[str, Any], source: str) -> Settings:
    try:
        return msgspec.convert(fields, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        place = place.strip("`").removeprefix("$.")
        variable = f"ISTHMUS_{place.replace('.', '_')}".upper() if "." in place else ""
        cure = f"mend {place or 'it'} there" + (f", or set {variable}" if variable in variables() else "")
        raise Invalid(reason, name=f"{source}: {place}" if place else source, cure=cure) from error
