"""A loaded model as serving sees it: arrays in, arrays out, on a bounded pool of threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch

from adapters.ports import ModelRegistry, ModelVersion
from runtime.domain.problems import Kind, Problem
from runtime.domain.signature import Signature
from runtime.domain.tensors import Datatype, all_finite
from runtime.registry import package
from runtime.registry.manifest import Manifest, Samples


@dataclass(frozen=True, slots=True)
class Model:
    """One version, loaded. `infer` is the seam: what makes serving faster goes behind it."""

    record: ModelVersion
    manifest: Manifest
    samples: Samples
    module: torch.nn.Module
    device: str
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

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays by the signature's input names to arrays by its output names. Blocks; call it on `Workers`."""
        return package.predict(self.module, self.signature, inputs, device=self.device)


def load(registry: ModelRegistry, record: ModelVersion, *, allowed: Collection[str], device: str) -> Model:
    """Verified, rebuilt and warm: its samples have been answered. Raises what `runtime.registry.package.load` raises."""
    loaded = package.load(registry, record, allowed=allowed, device=device)
    model = Model(record, loaded.manifest, loaded.samples, loaded.module, device, loaded.same_source, datetime.now(UTC))
    for _ in range(2):  # the first call of a size picks kernels and takes memory
        model.infer({spec.name: rows[:1] for spec, rows in _first_rows(model)})
    return model


class Workers:
    """The threads that run models, and how many calls may wait for them. Past that, callers are told to come back."""

    def __init__(self, *, threads: int = 1, waiting: int = 256) -> None:
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="infer")
        self._capacity = threads + waiting
        self._calls = 0

    async def infer(self, model: Model, inputs: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
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

    def close(self) -> None:
        """Wait for what runs, drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _timed(model: Model, inputs: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
    began = time.perf_counter()
    return model.infer(inputs), time.perf_counter() - began


def _first_rows(model: Model):
    arrays = package.sample_arrays(model.samples, model.signature.inputs)
    return [(spec, arrays[spec.name]) for spec in model.signature.inputs]
