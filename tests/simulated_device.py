"""A stand-in for a GPU on a machine without one: tensors that say that they are there, and hold their values here."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten


class DeviceTensor(Tensor):
    """A tensor of a simulated device; operators run on `values`, a tensor of the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor, device: torch.device) -> "DeviceTensor":
        shell = Tensor._make_wrapper_subclass(  # noqa: SLF001 - the documented way to wrap a tensor
            cls, values.shape, values.stride(), values.storage_offset(), dtype=values.dtype, device=device
        )
        shell.values = values
        return shell

    # These two do not call operators.

    def tolist(self) -> Any:
        return self.values.tolist()

    def new_tensor(self, data: Any) -> Tensor:
        return torch.tensor(data, dtype=self.dtype).to(self.device)

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{function} outside of the simulation")


class Simulation(TorchDispatchMode):
    """Runs the operators of a simulated device, as strict as a real one, and records their names.

    Refused are float64, and operators of tensors of both the device and the CPU, unless these are scalars.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.operators: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = list(_tensors((args, list(kwargs.values()))))
        here = [each for each in tensors if isinstance(each, DeviceTensor)]
        target = torch.device(kwargs.get("device") or (self.device if here else "cpu"))
        if not here and target.type != self.device.type:
            return function(*args, **kwargs)
        if function is not ATEN._to_copy.default:  # noqa: SLF001 - how copies between devices appear here
            self._check_inputs(function, tensors)
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        results = function(*_values(args), **{name: _values(each) for name, each in kwargs.items()})
        if target.type != self.device.type:
            return results
        self.operators.add(str(function))
        return self._on_device(function, results, args, kwargs, here)

    def _check_inputs(self, function: Any, tensors: list[Tensor]) -> None:
        strangers = [each for each in tensors if not isinstance(each, DeviceTensor) and each.ndim]
        if strangers and function is not ATEN.copy_.default:
            raise RuntimeError(f"{function}: expected all tensors to be on the same device")

    def _on_device(self, function: Any, results: Any, args: Any, kwargs: Any, here: list["DeviceTensor"]) -> Any:
        """The results as tensors of the device; those that are arguments, of operators in place, as they are."""
        known = {id(each.values): each for each in here}

        def wrap(values: Tensor) -> Tensor:
            if values.dtype == torch.float64:
                raise TypeError(f"{function}: {self.device} has no float64")
            return known[id(values)] if id(values) in known else DeviceTensor(values, self.device)

        return _map(lambda each: wrap(each) if isinstance(each, Tensor) else each, results)


# Arguments and results of operators are nested lists and tuples. torch's own functions for trees take any containers;
# here they would take most of the time.


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    return type(tree)([_map(function, each) for each in tree]) if type(tree) in {list, tuple} else function(tree)


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for each in tree:
            yield from _tensors(each)


def _values(arguments: Any) -> Any:
    return _map(lambda each: each.values if isinstance(each, DeviceTensor) else each, arguments)
