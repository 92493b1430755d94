"""The state of torch that the library computes in, whatever its caller has set; and forks after torch was used.

Every public function that computes is `isolated`, or calls only such functions: the code below may rely on torch's
defaults, and results do not depend on the caller's state, which is restored when the function returns. The events of a
run are reported in the caller's state.
"""

import contextlib
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import torch

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def isolated(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorator: the function runs in torch's default state, without autograd. Not for generators."""

    @functools.wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with default_state():
            return function(*args, **kwargs)

    return call


@contextlib.contextmanager
def default_state() -> Iterator[None]:
    """Within the block torch computes in its default state, without autograd; afterwards in that of the caller."""
    with contextlib.ExitStack() as stack:
        # Outside of inference mode tensors can be used anywhere: a run that is created in it may be continued without.
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        for kind in device_kinds():
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.empty(0).device.type != "cpu":  # older versions of `get_default_device` miss `with torch.device(...)`
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_PROCESS_STATE)
        yield


class _ProcessState:
    """What torch keeps for the whole process: the first call that computes sets it, the last one to end restores it.

    If each call restored what it has found, it would do so while another thread computes.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._entered = 0
        self._callers = contextlib.ExitStack()

    def __enter__(self) -> None:
        with self.lock:
            self._entered += 1
            if self._entered == 1:
                self._set()

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self._entered -= 1
            if not self._entered:
                self._callers.close()

    def _set(self) -> None:
        if (dtype := torch.get_default_dtype()) != torch.float32:
            self._callers.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        if (precision := _matmul_precision()) != "highest":
            self._callers.callback(torch.set_float32_matmul_precision, precision)
            torch.set_float32_matmul_precision("highest")


_PROCESS_STATE = _ProcessState()


def device_kinds() -> tuple[str, ...]:
    """The kinds of device that this build of torch may know, whether or not this machine has one."""
    kinds = ["cuda", "mps", "cpu"]
    if hasattr(torch, "accelerator"):  # torch 2.6
        accelerator = torch.accelerator.current_accelerator()
        if accelerator is not None and accelerator.type not in kinds:
            kinds.insert(2, accelerator.type)
    return tuple(kinds)


def _matmul_precision() -> str:
    """The precision of products of float32 matrices. Where torch's newer settings are in use too, they are kept."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return "highest"


def _renew_lock() -> None:
    """In a forked process the lock may be held by a thread that does not exist there."""
    _PROCESS_STATE.lock = threading.Lock()


def release_threads(library: str) -> None:
    """End the OpenMP threads that this thread started through a library; the next parallel loop starts new ones.

    A forked process has none of them, but GNU's OpenMP there would wait for them forever.
    """
    with contextlib.suppress(AttributeError, OSError):  # an OpenMP before 5.0, or a library without it
        ctypes.CDLL(library).omp_pause_resource_all(1)  # omp_pause_soft


if sys.platform == "linux":
    release = functools.partial(release_threads, torch._C.__file__)  # noqa: SLF001
    os.register_at_fork(before=release, after_in_child=_renew_lock)
