"""The Open Inference Protocol v2 over REST, with its binary tensor extension: messages to arrays and back.

Source: the protocol's text (KServe's "open-inference-protocol", rest/http) and Triton's "binary data" extension, to which
its clients are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

from runtime.domain.number import whole_number
from runtime.domain.problems import Kind, Problem
from runtime.domain.signature import Signature
from runtime.domain.tensors import ANY, Datatype, TensorSpec
from runtime.serve import codec

HEADER_LENGTH = "inference-header-content-length"
"""How many bytes of the body are JSON; the tensors' bytes follow."""

Scalar = bool | int | float | str | None
Parameters = dict[str, Scalar]
Size = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
DatatypeName = Annotated[str, msgspec.Meta(extra_json_schema={"enum": [str(datatype) for datatype in Datatype]})]


def no_data() -> msgspec.Raw:
    """What stands for JSON that was not given."""
    return msgspec.Raw(b"")


class InputTensor(msgspec.Struct, forbid_unknown_fields=True):
    """One input: `data` in JSON, or `parameters.binary_data_size` bytes after the JSON."""

    name: str
    shape: list[Size]
    datatype: DatatypeName
    parameters: Parameters = {}
    data: Annotated[msgspec.Raw, msgspec.Meta(description="flat in row-major order, or nested as the shape")] = (
        msgspec.field(default_factory=no_data)
    )


class RequestedOutput(msgspec.Struct, forbid_unknown_fields=True):
    """One output that the caller wants; `parameters.binary_data` asks for bytes, `parameters.classification` for top labels."""

    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of an inference. Without `outputs` all are returned."""

    inputs: list[InputTensor]
    outputs: list[RequestedOutput] = []
    id: str = ""
    parameters: Parameters = {}


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """One output: `data` flat in row-major order, or `parameters.binary_data_size` bytes after the JSON."""

    name: str
    datatype: DatatypeName
    shape: list[int]
    parameters: Parameters = {}
    data: list[Any] | None = None


class InferResponse(msgspec.Struct, omit_defaults=True):
    """Answer of an inference."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str = ""


class TensorMetadata(msgspec.Struct):
    """A tensor that a model takes or gives; -1 in the shape is decided by the request."""

    name: str
    datatype: DatatypeName
    shape: list[int]


class ModelMetadata(msgspec.Struct):
    """What a model takes and gives, and the versions that are loaded."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(msgspec.Struct):
    """Who answers, and which extensions of the protocol it knows."""

    name: str
    version: str
    extensions: list[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output to return: as bytes or JSON, whole or as its `classes` highest scores."""

    spec: TensorSpec
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A request, understood: every input an array of its signature's type, all of one batch size."""

    id: str
    inputs: Mapping[str, np.ndarray]
    wanted: Sequence[Wanted]

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))


_decode_request = msgspec.json.Decoder(InferRequest).decode
_encode = msgspec.json.Encoder().encode


def read(body: bytes, header_length: str | None, signature: Signature) -> Call:
    """Understand a body. `header_length` is the header of that name, None without one. Raises Problem."""
    message, tail = _divide(body, header_length)
    if not message and header_length is not None:
        return _read_raw(tail, signature)
    request = decode(message, _decode_request)
    arrays: dict[str, np.ndarray] = {}
    place = 0
    for tensor in request.inputs:
        spec = _input_spec(tensor, signature, arrays)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            arrays[spec.name] = codec.from_json(_json_data(tensor), spec, tuple(tensor.shape))
            continue
        begin, place = place, place + _size(tensor, size, len(tail) - place)
        arrays[spec.name] = codec.from_binary(tail[begin:place], spec, tuple(tensor.shape))
    if place != len(tail):
        raise Problem(Kind.WRONG_BINARY, f"{len(tail) - place} bytes after the JSON belong to no input")
    check_inputs(arrays, signature)
    return Call(request.id, arrays, _wanted(request, signature))


def check_inputs(arrays: Mapping[str, np.ndarray], signature: Signature) -> None:
    """All inputs there, of one batch size, with values that the model takes."""
    if missing := [spec.name for spec in signature.inputs if spec.name not in arrays]:
        raise Problem(
            Kind.WRONG_TENSOR, f"input {missing[0]!r} is missing: the model takes {codec.names(signature.inputs)}"
        )
    batches = {name: len(array) for name, array in arrays.items()}
    if len(set(batches.values())) > 1:
        raise Problem(Kind.WRONG_TENSOR, f"all inputs must have one batch size, these have {batches}")
    for spec in signature.inputs:
        codec.check_values(arrays[spec.name], spec)


def write(
    call: Call, outputs: Mapping[str, np.ndarray], *, model: str, version: int, labels: Sequence[str] = ()
) -> tuple[bytes, int | None]:
    """The answer's body, and how many bytes of it are JSON when tensors follow (None: all)."""
    tensors: list[OutputTensor] = []
    tail: list[bytes] = []
    for wanted in call.wanted:
        array, datatype = outputs[wanted.spec.name], wanted.spec.datatype
        spec = wanted.spec
        if wanted.classes:
            array, datatype = classify(array, wanted.classes, labels), Datatype.BYTES
            spec = TensorSpec(name=spec.name, datatype=datatype, shape=array.shape)
        tensor = OutputTensor(spec.name, str(datatype), list(array.shape))
        if wanted.binary:
            tail.append(codec.to_binary(array, datatype))
            tensor.parameters = {"binary_data_size": len(tail[-1])}
        else:
            tensor.data = codec.to_json_list(array, spec)
        tensors.append(tensor)
    message = _encode(InferResponse(model, str(version), tensors, call.id))
    return (b"".join((message, *tail)), len(message)) if tail else (message, None)


def classify(scores: np.ndarray, count: int, labels: Sequence[str]) -> np.ndarray:
    """Per row the `count` highest scores as `score:index:label`, best first: BYTES [batch, count]."""
    order = np.argsort(-scores, axis=-1, kind="stable")[..., :count]
    chosen = np.empty(order.shape, dtype=object)
    for place in np.ndindex(order.shape):
        index = int(order[place])
        text = f"{scores[(*place[:-1], index)]:f}:{index}" + (f":{labels[index]}" if index < len(labels) else "")
        chosen[place] = text.encode()
    return chosen


def metadata(name: str, versions: Sequence[int], signature: Signature) -> ModelMetadata:
    """A model's metadata document."""
    return ModelMetadata(
        name,
        [str(version) for version in versions],
        "pytorch_safetensors",
        _listed(signature.inputs),
        _listed(signature.outputs),
    )


def decode(message: bytes | memoryview, decoder: Any) -> Any:
    """`decoder` over JSON, its complaints as Problems."""
    try:
        return decoder(message)
    except msgspec.ValidationError as error:
        kind = Kind.UNKNOWN_FIELD if "unknown field" in str(error) else Kind.MALFORMED_JSON
        raise Problem(kind, _plain(error)) from None
    except RecursionError:
        raise Problem(Kind.MALFORMED_JSON, "the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(Kind.MALFORMED_JSON, f"the body is no JSON: {_plain(error)}") from None


def _plain(error: Exception) -> str:
    return str(error).replace("`$.", "`").replace(" - at `$`", "")


def _divide(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    json_bytes = whole_number(header_length)
    if json_bytes is None or json_bytes > len(body):
        raise Problem(
            Kind.WRONG_BINARY,
            f"Inference-Header-Content-Length is {header_length[:32]!r}: it counts the JSON's bytes, at most {len(body)}",
        )
    return body[:json_bytes], memoryview(body)[json_bytes:]


def _read_raw(tail: memoryview, signature: Signature) -> Call:
    """A body that is nothing but one tensor's bytes: the batch follows from their number, and all outputs come as bytes."""
    spec = signature.inputs[0]
    if len(signature.inputs) > 1 or spec.row_elements == ANY or not spec.datatype.item_bytes:
        raise Problem(
            Kind.WRONG_BINARY,
            f"a body of bytes alone fits one input of fixed size: this model takes {codec.names(signature.inputs)}",
        )
    row_bytes = spec.row_elements * spec.datatype.item_bytes
    if not len(tail) or len(tail) % row_bytes:
        raise Problem(Kind.WRONG_BINARY, f"{len(tail)} bytes are no whole number of rows of {row_bytes} bytes")
    arrays = {spec.name: codec.from_binary(tail, spec, (len(tail) // row_bytes, *spec.shape[1:]))}
    check_inputs(arrays, signature)
    return Call("", arrays, [Wanted(output, binary=True) for output in signature.outputs])


def _input_spec(tensor: InputTensor, signature: Signature, seen: Mapping[str, object]) -> TensorSpec:
    try:
        spec = signature.input(tensor.name)
    except KeyError:
        raise Problem(
            Kind.WRONG_TENSOR,
            f"there is no input {tensor.name[:80]!r}: the model takes {codec.names(signature.inputs)}",
        ) from None
    if tensor.name in seen:
        raise Problem(Kind.WRONG_TENSOR, f"input {tensor.name!r} is given twice")
    if tensor.datatype != spec.datatype:
        raise Problem(
            Kind.WRONG_TENSOR,
            f"input {spec.name!r} has datatype {tensor.datatype[:32]!r}, the model takes {spec.datatype}",
        )
    if not spec.fits(tuple(tensor.shape)):
        raise Problem(
            Kind.WRONG_TENSOR,
            f"input {spec.name!r} has shape {tensor.shape[:8]}, the model takes {list(spec.shape)} (-1: one or more)",
        )
    return spec


def _json_data(tensor: InputTensor) -> msgspec.Raw:
    if not bytes(tensor.data):
        raise Problem(Kind.WRONG_TENSOR, f"input {tensor.name!r} has neither data nor parameters.binary_data_size")
    return tensor.data


def _size(tensor: InputTensor, size: Scalar, left: int) -> int:
    if bytes(tensor.data):
        raise Problem(Kind.WRONG_BINARY, f"input {tensor.name!r} has both data and binary_data_size: give one")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= left:
        raise Problem(
            Kind.WRONG_BINARY,
            f"input {tensor.name!r}: binary_data_size is {size!r}, but {left} bytes are left after the JSON"
            " (Inference-Header-Content-Length says where the JSON ends)",
        )
    return size


def _wanted(request: InferRequest, signature: Signature) -> list[Wanted]:
    all_binary = request.parameters.get("binary_data_output") is True
    if not request.outputs:
        return [Wanted(spec, binary=all_binary) for spec in signature.outputs]
    chosen: list[Wanted] = []
    for output in request.outputs:
        try:
            spec = signature.output(output.name)
        except KeyError:
            raise Problem(
                Kind.WRONG_TENSOR,
                f"there is no output {output.name[:80]!r}: the model gives {codec.names(signature.outputs)}",
            ) from None
        if any(known.spec is spec for known in chosen):
            raise Problem(Kind.WRONG_TENSOR, f"output {output.name!r} is asked for twice")
        binary = output.parameters.get("binary_data", all_binary)
        chosen.append(Wanted(spec, binary=binary is True, classes=_classes(output, spec)))
    return chosen


def _classes(output: RequestedOutput, spec: TensorSpec) -> int:
    count = output.parameters.get("classification", 0)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise Problem(
            Kind.WRONG_VALUE, f"output {spec.name!r}: classification takes how many labels to return, not {count!r}"
        )
    if count and (len(spec.shape) < 2 or not spec.datatype.is_float or spec.datatype is Datatype.BF16):
        raise Problem(
            Kind.WRONG_VALUE, f"output {spec.name!r} holds no scores of labels, so classification does not fit it"
        )
    return count


def _listed(specs: Sequence[TensorSpec]) -> list[TensorMetadata]:
    return [TensorMetadata(spec.name, str(spec.datatype), list(spec.shape)) for spec in specs]
