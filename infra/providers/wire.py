"""Property values as the engine sends them, and as handlers see them.

The engine speaks `google.protobuf.Struct` with markers: a magic string for a value not known yet, and maps with a
signature key for secrets, assets, archives and resource references. Handlers should see plain Python: so secrets are
unwrapped on the way in and remembered by their path and value, and marked again on the way out. Assets, archives and
references are kept as the maps they are, and travel through untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

from infra.providers.values import UNKNOWN, Path, Properties, Secret, show, strings_in

SIGNATURE = rpc._special_sig_key  # pyright: ignore[reportPrivateUsage] - the wire format's own constants
SECRET = rpc._special_secret_sig  # pyright: ignore[reportPrivateUsage]
OUTPUT = rpc._special_output_value_sig  # pyright: ignore[reportPrivateUsage]
_UNKNOWN_ON_WIRE = rpc.UNKNOWN
# A derived output is marked secret when it contains a secret input. Shorter ones would match by accident.
_SHORTEST_TRACKED_SECRET = 6


@dataclass
class Secrets:
    """Which inputs of one call were secret: by path, and by the text they hold."""

    paths: set[Path] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)

    def covers(self, path: Path, value: Any) -> bool:
        """Whether an output at `path` holding `value` repeats a secret."""
        return path in self.paths or (isinstance(value, str) and any(text in value for text in self.texts))

    def redact(self, text: str) -> str:
        """`text` with every secret replaced, for messages that quote a value."""
        for secret in sorted(self.texts, key=len, reverse=True):
            text = text.replace(secret, "[secret]")
        return text


def decode(struct: struct_pb2.Struct, secrets: Secrets | None = None) -> Properties:
    """Plain values out of `struct`; whole numbers are `int`, unknown ones `UNKNOWN`. Secrets are noted in `secrets`."""
    noted = secrets if secrets is not None else Secrets()
    return {key: _decode(value, (key,), noted) for key, value in struct.fields.items()}


def _decode(value: struct_pb2.Value, path: Path, secrets: Secrets) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _decode_struct(value.struct_value, path, secrets)
    if kind == "list_value":
        return [_decode(item, (*path, index), secrets) for index, item in enumerate(value.list_value.values)]
    if kind == "string_value":
        return UNKNOWN if value.string_value == _UNKNOWN_ON_WIRE else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return value.bool_value if kind == "bool_value" else None


def _decode_struct(struct: struct_pb2.Struct, path: Path, secrets: Secrets) -> Any:
    fields = struct.fields
    signature = fields[SIGNATURE].string_value if SIGNATURE in fields else ""
    if signature == SECRET:
        return _decode_secret(fields["value"], path, secrets)
    if signature == OUTPUT:
        return _decode_output(struct, path, secrets)
    return {key: _decode(item, (*path, key), secrets) for key, item in fields.items()}


def _decode_output(struct: struct_pb2.Struct, path: Path, secrets: Secrets) -> Any:
    """A value with its dependencies; one without a value is not known yet."""
    fields = struct.fields
    if "value" not in fields:
        return UNKNOWN
    secret = "secret" in fields and fields["secret"].bool_value
    return (_decode_secret if secret else _decode)(fields["value"], path, secrets)


def _decode_secret(value: struct_pb2.Value, path: Path, secrets: Secrets) -> Any:
    plain = _decode(value, path, secrets)
    secrets.paths.add(path)
    secrets.texts.update(text for text in strings_in(plain) if len(text) >= _SHORTEST_TRACKED_SECRET)
    return plain


def encode(properties: Mapping[str, Any], secrets: Secrets | None = None) -> struct_pb2.Struct:
    """A `Struct` of `properties`; what `secrets` covers and what is wrapped in `Secret` is marked secret."""
    noted = secrets if secrets is not None else Secrets()
    return struct_pb2.Struct(fields={key: _encode(value, (key,), noted) for key, value in properties.items()})


def _encode(value: Any, path: Path, secrets: Secrets) -> struct_pb2.Value:
    if isinstance(value, Secret):
        return _marked(_bare(value.value, path, Secrets()))
    if secrets.covers(path, value):
        return _marked(_bare(value, path, Secrets()))
    return _bare(value, path, secrets)


def _bare(value: Any, path: Path, secrets: Secrets) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if value is UNKNOWN:
        return struct_pb2.Value(string_value=_UNKNOWN_ON_WIRE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Mapping):
        fields = {str(key): _encode(item, (*path, str(key)), secrets) for key, item in value.items()}
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    if isinstance(value, list | tuple):
        items = [_encode(item, (*path, index), secrets) for index, item in enumerate(value)]
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
    raise TypeError(f"{show(path)} is a {type(value).__name__}, which has no form on the wire")


def _marked(value: struct_pb2.Value) -> struct_pb2.Value:
    fields = {SIGNATURE: struct_pb2.Value(string_value=SECRET), "value": value}
    return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
