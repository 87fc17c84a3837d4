"""A trained module as files of the registry, and back. No pickle: weights are safetensors, the rest is JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from adapters.errors import Corrupt, Invalid
from adapters.ports import ModelRegistry, ModelVersion
from runtime.domain.signature import Signature
from runtime.domain.tensors import Datatype, TensorSpec
from runtime.registry.code import name_of, resolve, source_digest
from runtime.registry.manifest import (
    MANIFEST,
    SAMPLES,
    WEIGHTS,
    Architecture,
    Manifest,
    Samples,
    read_manifest,
    read_samples,
)

Arrays = Mapping[str, np.ndarray]

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-3, 1e-4
"""Between processors and torch versions the same weights differ in the last bits; another architecture differs at once."""


@dataclass(frozen=True, slots=True)
class Package:
    """A loaded model, ready to predict, and what is known of it."""

    module: nn.Module
    manifest: Manifest
    samples: Samples
    same_source: bool
    """Whether the architecture's source is byte for byte the one that was trained."""


def pick_device(wanted: str = "auto") -> str:
    """`cpu` or `cuda`; `auto` takes the GPU when there is one. Raises Invalid when a GPU is asked for and there is none.

    Not run on a GPU yet.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise Invalid("torch sees no GPU here", name="--device cuda", cure="leave it out, or say --device cpu")
    return wanted if wanted != "auto" else "cuda" if there else "cpu"


def pack(module: nn.Module, manifest: Manifest, samples: Samples) -> dict[str, bytes]:
    """The files of one version. Equal weights give equal bytes."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    return {
        WEIGHTS: safetensors.torch.save(weights),
        MANIFEST: manifest.to_json(),
        SAMPLES: samples.to_json(),
    }


def describe_architecture(module: nn.Module, config: Mapping[str, Any]) -> Architecture:
    """How to build this module again: its class by name, the keyword arguments, its source's digest."""
    kind = type(module)
    return Architecture(name=name_of(kind), config=dict(config), source_sha256=source_digest(kind.__module__))


def load(
    registry: ModelRegistry, version: ModelVersion, *, allowed: Collection[str] = (), device: str = "cpu"
) -> Package:
    """Every file read with its digest verified, the module rebuilt, and its samples answered as when it was packaged.

    `allowed` names modules besides the bundled ones that may hold the architecture. Raises Corrupt naming model, version
    and what does not match, or Invalid when the architecture's code is not here.
    """
    subject = f"{version.model}:{version.version}"
    try:
        manifest = read_manifest(registry.read(version, MANIFEST))
        samples = read_samples(registry.read(version, SAMPLES))
    except ValueError as error:
        if isinstance(error, Corrupt):
            raise
        raise Corrupt(str(error), name=subject, cure="train and register it again") from error
    module = _rebuild(manifest, registry.read(version, WEIGHTS), allowed, subject).to(device).eval()
    same_source = source_digest(manifest.architecture.name.partition(":")[0]) == manifest.architecture.source_sha256
    package = Package(module, manifest, samples, same_source)
    _check_samples(package, device, subject)
    return package


def predict(module: nn.Module, signature: Signature, inputs: Arrays, *, device: str = "cpu") -> dict[str, np.ndarray]:
    """Arrays in by the signature's names, arrays out by the signature's names, without gradients."""
    tensors = [to_tensor(inputs[spec.name], spec.datatype, device) for spec in signature.inputs]
    with torch.inference_mode():
        answer = module.predict(*tensors)  # type: ignore[operator]
    answers: Sequence[Any] = (
        (answer,) if len(signature.outputs) == 1 and not isinstance(answer, tuple | list) else answer
    )
    return {spec.name: to_array(value, spec.datatype) for spec, value in zip(signature.outputs, answers, strict=True)}


def to_tensor(array: np.ndarray, datatype: Datatype, device: str = "cpu") -> Any:
    """A tensor that shares the array's memory where it can; BYTES stay an array of objects, for torch has no such type."""
    if datatype is Datatype.BYTES:
        return array
    if not array.flags.writeable:
        array = array.copy()
    tensor = torch.from_numpy(array)
    return (tensor.view(torch.bfloat16) if datatype is Datatype.BF16 else tensor).to(device)


def to_array(value: Any, datatype: Datatype) -> np.ndarray:
    """The array behind a tensor, of the datatype's numpy type."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.to(torch.bfloat16).view(torch.uint16) if datatype is Datatype.BF16 else value
        value = value.numpy()
    return np.asarray(value).astype(datatype.numpy, copy=False)


def sample(module: nn.Module, signature: Signature, inputs: Arrays, targets: np.ndarray, *, limit: int) -> Samples:
    """The first `limit` rows with the module's answers to them."""
    rows = {name: array[:limit] for name, array in inputs.items()}
    outputs = predict(module, signature, rows)
    return Samples(
        inputs={spec.name: _shortest(rows[spec.name], spec) for spec in signature.inputs},
        outputs={spec.name: _shortest(outputs[spec.name], spec) for spec in signature.outputs},
        targets=targets[:limit].tolist(),
    )


def sample_arrays(samples: Samples, specs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    """The samples' inputs as arrays of the signature's types."""
    return {spec.name: np.asarray(samples.inputs[spec.name], dtype=spec.datatype.numpy) for spec in specs}


def _shortest(array: np.ndarray, spec: TensorSpec) -> list[Any]:
    """Nested lists of the shortest decimals that still mean the same FP32: 20.31 and not 20.309999465942383."""
    if spec.datatype is Datatype.FP32:
        return array.astype(str).astype(np.float64).tolist()
    return array.tolist()


def _rebuild(manifest: Manifest, weights: bytes, allowed: Collection[str], subject: str) -> nn.Module:
    architecture = resolve(manifest.architecture.name, allowed=allowed)
    if not issubclass(architecture, nn.Module) or not callable(getattr(architecture, "predict", None)):
        raise Corrupt(f"{manifest.architecture.name} is no torch module with a `predict`", name=subject)
    try:
        module = architecture(**manifest.architecture.config)
        module.load_state_dict(safetensors.torch.load(weights), strict=True)
    except (TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise Corrupt(
            f"its weights do not fit {manifest.architecture.name}: {reason}",
            name=subject,
            cure="use the code it was trained with, or train it again",
        ) from error
    return module


def _check_samples(package: Package, device: str, subject: str) -> None:
    signature, samples = package.manifest.signature, package.samples
    answers = predict(package.module, signature, sample_arrays(samples, signature.inputs), device=device)
    for spec in signature.outputs:
        recorded = np.asarray(samples.outputs[spec.name], dtype=spec.datatype.numpy)
        answer = answers[spec.name]
        if spec.datatype is Datatype.BYTES or not spec.datatype.is_float or spec.datatype is Datatype.BF16:
            continue
        if not np.allclose(answer, recorded, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE, equal_nan=True):
            gap = float(np.max(np.abs(answer - recorded)))
            raise Corrupt(
                f"output {spec.name!r} is off by {gap:.3g} on the samples it was packaged with",
                name=subject,
                cure="use the code it was trained with, or train it again",
            )
