"""A loaded model as serving sees it: arrays in, arrays out, on a bounded pool of threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np

from adapters.ports import ModelRegistry, ModelVersion
from runtime.domain.problems import Kind, Problem
from runtime.domain.signature import Signature
from runtime.domain.tensors import Datatype, all_finite
from runtime.registry.manifest import Manifest, Samples

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Model:
    """One version, loaded."""

    record: ModelVersion
    manifest: Manifest
    samples: Samples
    infer: Callable[[Arrays], dict[str, np.ndarray]]
    """Arrays by the signature's input names to arrays by its output names. It blocks: call it on `Workers`. What makes
    serving faster goes behind it."""
    same_source: bool
    loaded: datetime

    @property
    def name(self) -> str:
        return self.record.model

    @property
    def version(self) -> int:
        return self.record.version

    @property
    def signature(self) -> Signature:
        return self.manifest.signature


def prepare() -> None:
    """Import torch, which takes seconds. Only here and on the loading thread, so that the process answers before it has it."""
    import torch

    import runtime.registry.package  # noqa: F401

    torch.set_num_threads(1)


def load(registry: ModelRegistry, record: ModelVersion, *, allowed: Collection[str], device: str) -> Model:
    """Verified, rebuilt and warm: its samples have been answered. Raises what `runtime.registry.package.load` raises."""
    from runtime.registry import package

    device = package.pick_device(device)
    loaded = package.load(registry, record, allowed=allowed, device=device)
    signature = loaded.manifest.signature
    infer = partial(package.predict, loaded.module, signature, device=device)
    rows = package.sample_arrays(loaded.samples, signature.inputs)
    for _ in range(2):  # the first call of a size picks kernels and takes memory
        infer({name: array[:1] for name, array in rows.items()})
    return Model(record, loaded.manifest, loaded.samples, infer, loaded.same_source, datetime.now(UTC))


class Workers:
    """The threads that run models, and how many calls may wait for them. Past that, callers are told to come back."""

    def __init__(self, *, threads: int = 1, waiting: int = 256) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="infer")
        self._capacity = threads + waiting
        self._calls = 0

    async def infer(self, model: Model, inputs: Arrays) -> tuple[dict[str, np.ndarray], float]:
        """The model's outputs, each a number where its signature forbids others, and the seconds inside the model."""
        if self._calls >= self._capacity:
            raise Problem(
                Kind.BUSY, "too many requests are waiting: try again in a second", headers={"retry-after": "1"}
            )
        self._calls += 1
        try:
            outputs, seconds = await asyncio.get_running_loop().run_in_executor(self._pool, _timed, model, inputs)
        finally:
            self._calls -= 1
        for spec in model.signature.outputs:
            if (
                spec.datatype is not Datatype.BYTES
                and not spec.allow_nan
                and not all_finite(outputs[spec.name], spec.datatype)
            ):
                raise Problem(
                    Kind.NO_RESULT,
                    f"the model's {spec.name!r} is no number for this input: its values are far from any it knows",
                )
        return outputs, seconds

    @property
    def busy(self) -> bool:
        """Whether a model is running."""
        return self._calls > 0

    def close(self) -> None:
        """Drop what waits; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _timed(model: Model, inputs: Arrays) -> tuple[dict[str, np.ndarray], float]:
    began = time.perf_counter()
    return model.infer(inputs), time.perf_counter() - began
