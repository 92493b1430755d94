"""The weights in an ONNX file of 8-bit integers -> float32 arrays; only what such a file needs of ONNX is read.

An ONNX file is a Protocol Buffers message (ONNX IR, onnx.proto3): fields of a number and a wire type, in any order.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_GRAPH = 7  # fields of ModelProto,
_NODE, _INITIALIZER = 1, 5  # of GraphProto,
_INPUT, _OUTPUT, _OPERATOR = 1, 2, 4  # of NodeProto,
_DIMENSIONS, _TYPE, _NAME, _RAW = 1, 2, 8, 9  # of TensorProto
_TYPES: Mapping[int, str] = {1: "<f4", 3: "|i1", 6: "<i4"}


def dequantized(data: bytes) -> dict[str, Array]:
    """All constants that are dequantized in an ONNX file: name of the result, without `_dequant` -> float32 array.

    Of a constant q with a scale s and a zero point z for each of its first axis, or for all, this is (q - z) s.

    Raises:
        ValueError: the bytes are not such a file.
    """
    try:
        return _dequantized(data)
    except (KeyError, IndexError) as error:
        raise ValueError(f"lacks what it refers to ({error})") from error


def _dequantized(data: bytes) -> dict[str, Array]:
    fields = [(number, value) for number, value in _fields(_graph(data)) if not isinstance(value, int)]
    constants = {_texts(value, _NAME)[0][0]: value for number, value in fields if number == _INITIALIZER}
    found = {}
    for node in (value for number, value in fields if number == _NODE):
        operator, inputs, outputs = _texts(node, _OPERATOR, _INPUT, _OUTPUT)
        if operator == ["DequantizeLinear"] and inputs[0] in constants:
            values, scale, zero = (_values(constants[name]) for name in inputs)
            found[outputs[0].removesuffix("_dequant")] = _multiplied_out(values, scale, zero)
    return found


def _multiplied_out(values: npt.NDArray[Any], scale: npt.NDArray[Any], zero: npt.NDArray[Any]) -> Array:
    each = (-1, *[1] * (values.ndim - 1)) if scale.ndim else ()
    with np.errstate(over="ignore", invalid="ignore"):
        whole = values.astype(np.float32) - zero.astype(np.float32).reshape(each)
        found: Array = whole * scale.astype(np.float32).reshape(each)
    if not np.isfinite(found).all():
        raise ValueError("has values beyond float32")
    return found


def _values(message: memoryview) -> npt.NDArray[Any]:
    """The array of a TensorProto that holds it itself, as raw bytes."""
    dimensions: list[int] = []
    kind, raw = 0, memoryview(b"")
    for number, value in _fields(message):
        if number == _DIMENSIONS:
            dimensions += [value] if isinstance(value, int) else _varints(value)
        elif number == _TYPE and isinstance(value, int):
            kind = value
        elif number == _RAW and not isinstance(value, int):
            raw = value
    if kind not in _TYPES:
        raise ValueError(f"has values of type {kind}, not one of {', '.join(map(str, _TYPES))}")
    return np.frombuffer(raw, _TYPES[kind]).reshape(dimensions)


def _texts(message: memoryview, *wanted: int) -> list[list[str]]:
    """The texts in each of the fields wanted."""
    found: dict[int, list[str]] = {number: [] for number in wanted}
    for number, value in _fields(message):
        if number in found and not isinstance(value, int):
            found[number].append(str(value, "utf-8"))
    return list(found.values())


def _graph(data: bytes) -> memoryview:
    found = [value for number, value in _fields(memoryview(data)) if number == _GRAPH and not isinstance(value, int)]
    if len(found) != 1:
        raise ValueError("is not an ONNX file")
    return found[0]


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of the fields of a message: an integer, or the bytes of text, array or message."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        if key & 7 == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if key & 7 == 2:
            length, place = _varint(message, place)
        elif key & 7 in {1, 5}:
            length = 8 if key & 7 == 1 else 4
        else:
            raise ValueError("is not an ONNX file")
        if place + length > len(message):
            raise ValueError("breaks off")
        yield key >> 3, message[place : place + length]
        place += length


def _varints(message: memoryview) -> list[int]:
    found, place = [], 0
    while place < len(message):
        value, place = _varint(message, place)
        found.append(value)
    return found


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """An integer of seven bits a byte, the low ones first, and the place behind it."""
    value = shift = 0
    for place_of_byte in range(place, min(place + 10, len(message))):
        byte = message[place_of_byte]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place_of_byte + 1
        shift += 7
    raise ValueError("breaks off")
