"""A trained module as files of the registry, and back. No pickle: weights are safetensors, the rest is JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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

RETRAIN = "use the code it was trained with, or train it again"


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
    """A registered version, every file's digest verified. Raises what `unpack` raises, and Corrupt for other bytes."""

    def read(name: str) -> bytes:
        return registry.read(version, name)

    return unpack(read, f"{version.model}:{version.version}", allowed=allowed, device=device)


def unpack(
    read: Callable[[str], bytes], subject: str, *, allowed: Collection[str] = (), device: str = "cpu"
) -> Package:
    """The module rebuilt from its files, having answered its samples as when it was packaged.

    `allowed` names modules besides the bundled ones that may hold the architecture. Raises Corrupt naming `subject` and what
    does not match, or Invalid when the architecture's code is not here.
    """
    try:
        manifest, samples = read_manifest(read(MANIFEST)), read_samples(read(SAMPLES))
    except Corrupt:
        raise
    except ValueError as error:
        raise Corrupt(str(error), name=subject, cure=RETRAIN) from error
    module = _rebuild(manifest, read(WEIGHTS), allowed, subject).to(device).eval()
    same_source = source_digest(manifest.architecture.name.partition(":")[0]) == manifest.architecture.source_sha256
    package = Package(module, manifest, samples, same_source)
    try:
        gap = _worst_gap(package, device)
    except Exception as error:  # a stranger's module may raise anything; whatever it is, the model cannot be served
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise Corrupt(
            f"it cannot answer the samples it was packaged with: {reason}", name=subject, cure=RETRAIN
        ) from error
    if gap:
        raise Corrupt(f"{gap} on the samples it was packaged with", name=subject, cure=RETRAIN)
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
    name = manifest.architecture.name
    architecture = resolve(name, allowed=allowed)
    if not issubclass(architecture, nn.Module) or not callable(getattr(architecture, "predict", None)):
        raise Corrupt(f"{name} is no torch module with a `predict`", name=subject, cure=RETRAIN)
    try:
        module = architecture(**manifest.architecture.config)
        module.load_state_dict(safetensors.torch.load(weights), strict=True)
    except Exception as error:  # as above: a constructor may raise anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise Corrupt(f"its weights do not fit {name}: {reason}", name=subject, cure=RETRAIN) from error
    return module


def _worst_gap(package: Package, device: str) -> str:
    """The first output that differs from what was recorded, and by how much; empty when all agree."""
    signature, samples = package.manifest.signature, package.samples
    answers = predict(package.module, signature, sample_arrays(samples, signature.inputs), device=device)
    for spec in signature.outputs:
        if spec.datatype not in (Datatype.FP16, Datatype.FP32, Datatype.FP64):
            continue
        recorded, answer = np.asarray(samples.outputs[spec.name], dtype=spec.datatype.numpy), answers[spec.name]
        if answer.shape != recorded.shape:
            return f"output {spec.name!r} has shape {list(answer.shape)} and not {list(recorded.shape)}"
        if not np.allclose(answer, recorded, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE, equal_nan=True):
            return f"output {spec.name!r} is off by {float(np.nanmax(np.abs(answer - recorded))):.3g}"
    return ""
