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
        for kind in ("cpu", "cuda", "mps"):
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.empty(0).device.type != "cpu":  # older versions of `get_default_device` miss `with torch.device(...)`
            stack.enter_context(torch.device("cpu"))
        if (dtype := torch.get_default_dtype()) != torch.float32:
            stack.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        if (precision := _matmul_precision()) != "highest":
            stack.callback(torch.set_float32_matmul_precision, precision)
            torch.set_float32_matmul_precision("highest")
        yield


def _matmul_precision() -> str:
    """The precision of products of float32 matrices. Where torch's newer settings are in use too, they are kept."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return "highest"


def release_threads(library: str) -> None:
    """End the OpenMP threads that this thread started through a library; the next parallel loop starts new ones.

    A forked process has none of them, but GNU's OpenMP there would wait for them forever.
    """
    with contextlib.suppress(AttributeError, OSError):  # an OpenMP before 5.0, or a library without it
        ctypes.CDLL(library).omp_pause_resource_all(1)  # omp_pause_soft


if sys.platform == "linux":
    os.register_at_fork(before=functools.partial(release_threads, torch._C.__file__))  # noqa: SLF001
