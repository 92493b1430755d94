"""The nodes and constants of an ONNX file; only the parts of the format that files of weights use are read.

An ONNX file is a Protocol Buffers message, ModelProto (onnx.proto3). A message is a sequence of fields in any order,
each a key and a value. The key is a varint, field number << 3 | wire type. Wire types: 0 a varint, 1 eight bytes, 2 a
length and that number of bytes (a string, a packed array or a nested message), 5 four bytes. The deprecated types 3 and
4 (groups) do not occur in ONNX. Unknown fields are skipped.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# field numbers
_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER = 1, 5  # of GraphProto
_INPUT, _OUTPUT, _OPERATOR = 1, 2, 4  # of NodeProto
_DIMENSIONS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9  # of TensorProto

_DTYPES: Mapping[int, str] = {1: "<f4", 3: "|i1", 6: "<i4"}
"""TensorProto.DataType -> NumPy dtype: FLOAT, INT8, INT32; raw data is little-endian."""

_VARINT, _64_BIT, _LENGTH_DELIMITED, _32_BIT = 0, 1, 2, 5  # wire types
_MAX_VARINT = 10  # bytes of a varint of 64 bits


class Node(NamedTuple):
    """An operator, such as Conv, and the names of its inputs and outputs."""

    operator: str
    inputs: list[str]
    outputs: list[str]


class Graph(NamedTuple):
    """The nodes in the order of the file, and the constants by name, as they are stored (TensorProto)."""

    nodes: list[Node]
    constants: Mapping[str, memoryview]

    def array(self, name: str) -> npt.NDArray[Any]:
        """The values of a constant, read-only.

        Raises:
            ValueError: there is no such constant, or it is damaged or of another type than float32, int8 or int32.
        """
        if name not in self.constants:
            raise ValueError(f"refers to something that is missing ({name!r})")
        return _array(self.constants[name])


def read_graph(data: bytes) -> Graph:
    """The graph in an ONNX file.

    Raises:
        ValueError: not an ONNX file, or one that is damaged.
    """
    fields = [(number, value) for number, value in _fields(_graph(data)) if not isinstance(value, int)]
    nodes = [_node(value) for number, value in fields if number == _NODE]
    return Graph(nodes, {_only(_strings(value, _NAME)[0]): value for number, value in fields if number == _INITIALIZER})


def _node(message: memoryview) -> Node:
    operators, inputs, outputs = _strings(message, _OPERATOR, _INPUT, _OUTPUT)
    return Node(_only(operators), inputs, outputs)


def _only(strings: list[str]) -> str:
    if len(strings) != 1:
        raise ValueError(f"has {len(strings)} names where one is needed")
    return strings[0]


def _array(tensor: memoryview) -> npt.NDArray[Any]:
    """The array of a TensorProto that stores it as raw data."""
    shape: list[int] = []
    data_type, raw = 0, memoryview(b"")
    for number, value in _fields(tensor):
        if number == _DIMENSIONS:
            shape += [value] if isinstance(value, int) else _packed_varints(value)
        elif number == _DATA_TYPE and isinstance(value, int):
            data_type = value
        elif number == _RAW_DATA and not isinstance(value, int):
            raw = value
    if data_type not in _DTYPES:
        raise ValueError(f"has values of type {data_type}, not one of {', '.join(map(str, _DTYPES))}")
    return np.frombuffer(raw, _DTYPES[data_type]).reshape(shape)


def _strings(message: memoryview, *numbers: int) -> list[list[str]]:
    """The strings in each of the fields with these numbers."""
    strings: dict[int, list[str]] = {number: [] for number in numbers}
    for number, value in _fields(message):
        if number in strings and not isinstance(value, int):
            strings[number].append(str(value, "utf-8"))
    return list(strings.values())


def _graph(data: bytes) -> memoryview:
    """The GraphProto of a ModelProto."""
    graphs = [value for number, value in _fields(memoryview(data)) if number == _GRAPH and not isinstance(value, int)]
    if len(graphs) != 1:
        raise ValueError("is not an ONNX file")
    return graphs[0]


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of every field of a message: an integer for a varint, otherwise the bytes."""
    offset = 0
    while offset < len(message):
        key, offset = _varint(message, offset)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, offset = _varint(message, offset)
            yield number, value
            continue
        if wire_type == _LENGTH_DELIMITED:
            length, offset = _varint(message, offset)
        elif wire_type in {_64_BIT, _32_BIT}:
            length = 8 if wire_type == _64_BIT else 4
        else:
            raise ValueError("is not an ONNX file")
        if offset + length > len(message):
            raise ValueError("is truncated")
        yield number, message[offset : offset + length]
        offset += length


def _packed_varints(message: memoryview) -> list[int]:
    values, offset = [], 0
    while offset < len(message):
        value, offset = _varint(message, offset)
        values.append(value)
    return values


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    """A varint and the offset after it: 7 bits per byte, the low ones first; the high bit marks that more follow."""
    value = shift = 0
    for position in range(offset, min(offset + _MAX_VARINT, len(message))):
        byte = message[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    raise ValueError("is truncated")
