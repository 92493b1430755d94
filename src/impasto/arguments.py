"""The types of arguments, checked where a caller passes them: a message says what was passed and what to do."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeGuard, TypeVar

from impasto.errors import ImpastoError, OutputError, PictureError, SettingError

_T = TypeVar("_T")

_IN_MEMORY = {"PIL.Image.Image": "a PIL image", "numpy.ndarray": "a NumPy array", "torch.Tensor": "a tensor"}
"""Types that hold pixels, by name: none of these packages is imported for a message."""
_IMAGES = "give the path of an image file, its bytes, a PIL image, an array, a tensor or a Picture"


def kind_of(value: object) -> str:
    """The type of a value in words: "a PIL image", "a NumPy array", "a file object", "None", "a dict"."""
    if value is None or isinstance(value, bytes):
        return "None" if value is None else "bytes"
    for kind in type(value).__mro__:
        if words := _IN_MEMORY.get(f"{kind.__module__}.{kind.__qualname__}"):
            return words
    if hasattr(value, "read"):
        return "a file object"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def is_path(value: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether a value is a path as text or as an object; bytes are none."""
    return isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)


def as_path(value: object, role: str, error: type[ImpastoError] = OutputError) -> Path:
    """A path that a caller passed as `role`.

    Raises:
        error: it is neither text nor an object for a path.
    """
    if not is_path(value):
        raise error(f"{role}: got {kind_of(value)}; give a path as text, or a pathlib.Path")
    return Path(value)


def as_path_list(value: object, role: str, error: type[ImpastoError]) -> list[Path]:
    """One path or a list of them that a caller passed as `role`.

    Raises:
        error: it is neither.
    """
    values = [value] if is_path(value) else value
    if isinstance(values, bytes) or not isinstance(values, Sequence):
        raise error(f"{role}: got {kind_of(value)}; give a path as text, or a list of paths")
    return [as_path(each, role, error) for each in values]


def no_image(value: object, role: str, remedy: str = _IMAGES) -> PictureError:
    """The error for a value that is not what images are passed as."""
    return PictureError(f"{role}: got {kind_of(value)}; {remedy}")


def path_of_image(value: object, role: str) -> Path:
    """The path of an image that a caller passed as `role`.

    Raises:
        PictureError: it is no path.
    """
    if not is_path(value):
        raise no_image(value, role, "give the path of an image file")
    return Path(value)


def of_type(value: object, kind: type[_T], role: str, remedy: str) -> _T:
    """`value`, if it is an instance of `kind`.

    Raises:
        SettingError: it is not.
    """
    if not isinstance(value, kind):
        raise SettingError(f"{role}: got {kind_of(value)}; {remedy}")
    return value


def check_callable(on_event: Callable[..., object] | None) -> None:
    """Refuse a receiver of events that cannot be called.

    Raises:
        SettingError: it is neither a function nor None.
    """
    if on_event is not None and not callable(on_event):
        raise SettingError(f"on_event: got {kind_of(on_event)}; give a function that takes an event")


class StopEvent(Protocol):
    """A `threading.Event`, or one of multiprocessing."""

    def is_set(self) -> bool:
        """Whether to stop."""


Cancel = Callable[[], object] | StopEvent
"""Stops a run: a function that is called after every step and returns whether to stop, or an event."""


def stop_function(cancel: Cancel | None) -> Callable[[], object]:
    """The function that says whether to stop.

    Raises:
        SettingError: `cancel` is neither a function nor an event.
    """
    if cancel is None:
        return lambda: False
    ask: object = getattr(cancel, "is_set", cancel)
    if not callable(ask):
        raise SettingError(
            f"cancel: got {kind_of(cancel)}; give a function that returns whether to stop, or a threading.Event"
        )
    return ask
