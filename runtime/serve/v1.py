"""`POST /v1/predict`: rows in, labels and scores out, for people and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np

from runtime.domain.problems import Kind, Problem
from runtime.domain.reference import Reference
from runtime.domain.signature import Signature
from runtime.serve import codec
from runtime.serve.oip import check_inputs, decode, no_data


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Rows for a model: a list of rows, or for a model with several inputs an object with one list of rows per input."""

    model: Annotated[str, msgspec.Meta(examples=["digits", "digits:3"])]
    inputs: Annotated[msgspec.Raw, msgspec.Meta(description="[[...], ...], or {input: [[...], ...]}")] = msgspec.field(
        default_factory=no_data
    )
    id: str = ""


_LABELLED = {
    "type": "object",
    "required": ["label", "score"],
    "properties": {"label": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 1}},
}
_OUTPUTS = {
    "type": "object",
    "description": "of a model without labels: its outputs by name",
    "additionalProperties": True,
}


class PredictResponse(msgspec.Struct, omit_defaults=True):
    """One prediction a row: its likeliest label and that label's score, or of a model without labels its outputs."""

    model: str
    version: int
    predictions: Annotated[
        list[dict[str, Any]], msgspec.Meta(extra_json_schema={"items": {"anyOf": [_LABELLED, _OUTPUTS]}})
    ]
    id: str = ""


_decode_request = msgspec.json.Decoder(PredictRequest).decode
_decode_columns = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read(body: bytes) -> tuple[PredictRequest, str, str | None]:
    """The request, the model's name, and its version or alias where the request names one."""
    request = decode(body, _decode_request)
    try:
        reference = Reference.parse(request.model)
    except ValueError as error:
        raise Problem(Kind.WRONG_VALUE, f"model: {error}") from None
    return request, reference.model, None if request.model == reference.model else str(reference.version)


def arrays(request: PredictRequest, signature: Signature) -> dict[str, np.ndarray]:
    """The rows as arrays of the signature's inputs."""
    raw = bytes(request.inputs)
    if not raw:
        raise Problem(Kind.WRONG_TENSOR, f"inputs is missing: the model takes {codec.names(signature.inputs)}")
    if raw.startswith(b"{"):
        columns = decode(raw, _decode_columns)
    elif len(signature.inputs) == 1:
        columns = {signature.inputs[0].name: raw}
    else:
        raise Problem(
            Kind.WRONG_TENSOR, f"inputs must be an object with rows for each of {codec.names(signature.inputs)}"
        )
    known = {spec.name: spec for spec in signature.inputs}
    if strange := [name for name in columns if name not in known]:
        raise Problem(
            Kind.WRONG_TENSOR, f"there is no input {strange[0][:80]!r}: the model takes {codec.names(signature.inputs)}"
        )
    found = {name: codec.from_rows(rows, known[name]) for name, rows in columns.items()}
    check_inputs(found, signature)
    return found


def predictions(outputs: Mapping[str, np.ndarray], signature: Signature) -> list[dict[str, Any]]:
    """Per row: the likeliest label, or all outputs."""
    if signature.labels:
        scores = outputs[signature.scores]
        best = scores.argmax(axis=-1)
        return [
            {"label": signature.labels[index], "score": float(row[index])}
            for index, row in zip(best, scores, strict=True)
        ]
    rows = len(outputs[signature.outputs[0].name])
    lists = {
        spec.name: np.array(codec.to_json_list(outputs[spec.name], spec), dtype=object).reshape(
            outputs[spec.name].shape
        )
        for spec in signature.outputs
    }
    return [{name: _plain(column[row]) for name, column in lists.items()} for row in range(rows)]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
