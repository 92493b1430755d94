"""A step on an NVIDIA GPU as a CUDA graph: recorded once, then replayed with a single call."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from impasto.vgg import device as devices

WARM_UP = 3
"""Steps before the recording: libraries allocate their workspaces and choose their algorithms in these."""

_is_enabled = True


@contextlib.contextmanager
def disabled() -> Iterator[None]:
    """Within the block no step is recorded or replayed."""
    global _is_enabled  # noqa: PLW0603 - a switch for benchmarks and tests of the whole process
    before, _is_enabled = _is_enabled, False
    try:
        yield
    finally:
        _is_enabled = before


class StepGraph:
    """Calls a function; on an NVIDIA GPU it is recorded after WARM_UP calls and then replayed.

    Args:
        device: where the function computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._calls, self._has_failed = 0, False
        self._notes: list[str] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result = torch.empty(0)

    def __call__(self, function: Callable[[], Tensor]) -> Tensor:
        """What the function returns, in a tensor that later calls do not modify.

        Args:
            function: the same at every call. It always reads and writes the same tensors, waits for no result of the
                device, and returns a tensor. What it does besides, such as counting in Python, happens in no replay.
        """
        if self._device.type != "cuda" or not _is_enabled or self._has_failed:
            return function()
        with torch.cuda.device(self._device):
            if self._graph is None and self._calls >= WARM_UP:
                self._record(function)
            if self._graph is None:
                self._calls += 1
                return function()
            self._graph.replay()
            return self._result.clone()

    def take_notes(self) -> list[str]:
        """The messages for the user since the last call: whether the recording failed."""
        notes, self._notes = self._notes, []
        return notes

    def _record(self, function: Callable[[], Tensor]) -> None:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.empty_cache()  # the graph has its own memory pool: what steps before it have freed is of no use
        try:
            # Other threads may use the GPU meanwhile, but not change how this one computes.
            with (
                devices.arithmetic(self._device, tf32=False),
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                self._result = function()
        except RuntimeError as error:
            self._has_failed = True
            self._notes.append(f"CUDA graphs cannot be used here ({' '.join(str(error).split())[:100]})")
        else:
            self._graph = graph
