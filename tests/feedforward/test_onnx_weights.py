"""Weights read from messages that are built here, byte by byte (onnx.proto3)."""

import contextlib
import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.feedforward.onnx_weights import read_weights

FLOAT, INT8, INT32 = 1, 3, 6
KINDS = {FLOAT: "<f4", INT8: "|i1", INT32: "<i4"}
DIMS, TYPE, FLOATS, NAME, RAW = 1, 2, 4, 8, 9  # of TensorProto
NODE, INITIALIZER = 1, 5  # of GraphProto
GRAPH = 7  # of ModelProto


def varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def tensor(name: str, kind: int, values: object, *, packed: bool = False) -> bytes:
    array = np.array(values, KINDS[kind])
    dims = block(DIMS, b"".join(map(varint, array.shape))) if packed else b""
    dims = dims or b"".join(number(DIMS, length) for length in array.shape)
    return dims + number(TYPE, kind) + block(NAME, name) + block(RAW, array.tobytes())


def node(operator: str, inputs: Sequence[str], output: str) -> bytes:
    return b"".join(block(1, each) for each in inputs) + block(2, output) + block(4, operator)


def model(nodes: Sequence[bytes], constants: Sequence[bytes]) -> bytes:
    parts = [block(NODE, each) for each in nodes] + [block(INITIALIZER, each) for each in constants]
    return number(1, 8) + block(GRAPH, b"".join(parts))


Q = [[[1, -2], [3, 4]], [[-128, 127], [0, 5]], [[7, 7], [7, -7]]]  # (3, 2, 2)


def file(scale: object, zero: object, *, packed: bool = False, kind: int = INT8, values: object = Q) -> bytes:
    constants = [
        tensor("q", kind, values, packed=packed),
        tensor("s", FLOAT, scale, packed=packed),
        tensor("z", kind, zero, packed=packed),
    ]
    return model([node("DequantizeLinear", ["q", "s", "z"], "kernel_dequant")], constants)


PER_CHANNEL = file([0.5, 2.0, 0.25], [0, -128, 3])


def test_scale_and_zero_point_per_index_of_the_first_axis() -> None:
    result = read_weights(PER_CHANNEL)
    assert list(result) == ["kernel"]
    assert result["kernel"].dtype == np.float32
    expected = [[[0.5, -1], [1.5, 2]], [[0, 510], [256, 266]], [[1, 1], [1, -2.5]]]
    assert np.array_equal(result["kernel"], np.float32(expected))


def test_a_scalar_scale_and_zero_point_apply_to_all_values() -> None:
    result = read_weights(file(0.25, -4))["kernel"]
    assert np.array_equal(result, np.float32((np.array(Q) + 4) * 0.25))


def test_a_vector_is_scaled_entry_by_entry() -> None:
    result = read_weights(file([0.5, 2.0], [0, 0], kind=INT32, values=[70_000, -3]))["kernel"]
    assert np.array_equal(result, np.float32([35_000, -6]))


def test_the_difference_to_the_zero_point_does_not_wrap_around_in_int8() -> None:
    result = read_weights(file(1.0, -128, values=[127, -128]))["kernel"]
    assert result.tolist() == [255, 0]


def test_dimensions_may_be_packed_or_not() -> None:
    packed = file([0.5, 2.0, 0.25], [0, -128, 3], packed=True)
    assert packed != PER_CHANNEL
    assert np.array_equal(read_weights(packed)["kernel"], read_weights(PER_CHANNEL)["kernel"])


def test_a_dimension_of_more_than_seven_bits_is_read() -> None:
    values = np.arange(300) % 100
    result = read_weights(file(1.0, 0, packed=True, values=values))["kernel"]
    assert np.array_equal(result, np.float32(values))


def test_unknown_fields_of_every_wire_type_are_skipped() -> None:
    odd = (
        number(100, 2**63)
        + block(101, b"\xff\xff\xff")
        + varint(102 << 3 | 5) + struct.pack("<f", 1.0)
        + varint(103 << 3 | 1) + struct.pack("<d", 1.0)
    )  # fmt: skip
    constants = [tensor("q", INT8, Q) + odd, odd + tensor("s", FLOAT, 2.0), tensor("z", INT8, 0)]
    nodes = [odd + node("DequantizeLinear", ["q", "s", "z"], "kernel_dequant")]
    data = odd + model(nodes, constants) + odd
    assert np.array_equal(read_weights(data)["kernel"], 2 * np.float32(Q))


def test_only_constants_that_are_dequantized_are_returned() -> None:
    constants = [
        tensor("q", INT8, Q),
        tensor("s", FLOAT, 1.0),
        tensor("z", INT8, 0),
        tensor("unused", FLOAT, [1.0, 2.0]),
        number(TYPE, 7) + block(NAME, "shape") + block(RAW, bytes(8)),  # int64, as a Reshape has it
    ]
    nodes = [
        node("DequantizeLinear", ["q", "s", "z"], "kernel_dequant"),
        node("DequantizeLinear", ["activation", "s", "z"], "activation_dequant"),
        node("QuantizeLinear", ["q", "s", "z"], "other"),
    ]
    assert list(read_weights(model(nodes, constants))) == ["kernel"]


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"plain words, not a message", number(1, 8), model([], []) * 2, varint(GRAPH << 3 | 3)]
)
def test_data_that_is_not_an_onnx_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not an ONNX file|is truncated"):
        read_weights(data)


def test_values_of_an_unsupported_type_are_refused() -> None:
    double = number(DIMS, 1) + number(TYPE, 11) + block(NAME, "s") + block(RAW, bytes(8))
    constants = [tensor("q", INT8, Q), double, tensor("z", INT8, 0)]
    with pytest.raises(ValueError, match="type 11"):
        read_weights(model([node("DequantizeLinear", ["q", "s", "z"], "k")], constants))


@pytest.mark.parametrize("scale", [1e38, -1e38, np.inf, np.nan])
def test_values_beyond_float32_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="beyond float32"):
        read_weights(file(scale, 0))


def survives(data: bytes) -> None:
    """These bytes give a result or a ValueError, no other exception."""
    with contextlib.suppress(ValueError):
        read_weights(data)


def test_a_file_truncated_anywhere_is_refused() -> None:
    for length in range(len(PER_CHANNEL)):
        with pytest.raises(ValueError, match=r"is not an ONNX file|is truncated"):
            read_weights(PER_CHANNEL[:length])


def test_a_truncated_graph_gives_a_result_or_a_value_error() -> None:
    parts = model([node("DequantizeLinear", ["q", "s", "z"], "k")], [tensor("q", INT8, Q), tensor("s", FLOAT, 2.0)])
    graph = parts[parts.index(varint(GRAPH << 3 | 2)) + 2 :]
    for length in range(len(graph)):
        survives(block(GRAPH, graph[:length]))


@pytest.mark.parametrize("place", range(len(PER_CHANNEL)))
def test_a_changed_byte_gives_a_result_or_a_value_error(place: int) -> None:
    for byte in range(256):
        survives(PER_CHANNEL[:place] + bytes([byte]) + PER_CHANNEL[place + 1 :])


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_give_a_result_or_a_value_error(data: bytes) -> None:
    survives(data)
    survives(block(GRAPH, data))


DEQUANTIZE = node("DequantizeLinear", ["q", "s", "z"], "k")
CONSTANT, SCALE, ZERO = tensor("q", INT8, Q), tensor("s", FLOAT, 2.0), tensor("z", INT8, 0)


@pytest.mark.parametrize(
    ("graph_node", "constants"),
    [
        (DEQUANTIZE, [CONSTANT, SCALE]),
        (DEQUANTIZE, [CONSTANT, SCALE, ZERO, number(TYPE, INT8)]),
        (block(4, "DequantizeLinear"), [CONSTANT, SCALE, ZERO]),
        (node("DequantizeLinear", ["q", "s"], "k"), [CONSTANT, SCALE]),
        (block(1, "q") + block(1, "s") + block(1, "z") + block(4, "DequantizeLinear"), [CONSTANT, SCALE, ZERO]),
        (DEQUANTIZE, [number(DIMS, 2**63) + CONSTANT, SCALE, ZERO]),
        (DEQUANTIZE, [number(DIMS, 2**69) + CONSTANT, SCALE, ZERO]),
        (DEQUANTIZE, [CONSTANT, tensor("s", FLOAT, [1.0, 2.0]), ZERO]),
    ],
    ids=["no zero", "no name", "no inputs", "two inputs", "no output", "huge", "larger", "2 scales for 3"],
)
def test_an_incomplete_graph_is_a_value_error(graph_node: bytes, constants: list[bytes]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_weights(model([graph_node], constants))
