"""AVIF files (AV1-ISOBMFF; ISO/IEC 14496-12 and 23008-12): the properties of the primary image."""

from collections.abc import Iterator

from impasto.images.decoding import cicp
from impasto.images.decoding.container import Container

_HIGH_BIT_DEPTH = 0x40
"""Bit of the third byte of the codec's configuration (AV1-ISOBMFF 2.3.3): more than 8 bits per channel."""
_MAX_BOXES = 100_000

_Property = tuple[bytes, bytes]
"""Type and contents of a box."""


def examine(data: bytes, notes: list[str]) -> Container:
    """Read the color space and bit depth of the primary image of an AVIF file.

    Raises:
        PictureError: HDR.
    """
    properties = _primary_properties(data)
    if _is_deep(dict(properties)):
        notes.append("more than 8 bits per channel were read as 8")
    for kind, body in properties:
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 10:
            primaries, transfer = (int.from_bytes(body[start : start + 2], "big") for start in (4, 6))
            profile = cicp.profile(primaries, transfer, notes)
            embedded = any(kind == b"colr" and body[:4] in (b"prof", b"rICC") for kind, body in properties)
            return Container(data, profile=None if embedded else profile)
    return Container(data)


def _is_deep(properties: dict[bytes, bytes]) -> bool:
    """Whether the image has more than 8 bits per channel: by the codec's configuration, of a grid by "pixi"."""
    codec, depths = properties.get(b"av1C", b"")[2:3], properties.get(b"pixi", b"")[5:]
    return any(byte & _HIGH_BIT_DEPTH for byte in codec) or max(depths, default=0) > 8


def _primary_properties(data: bytes) -> list[_Property]:
    """The properties that are associated with the primary item; empty if the boxes cannot be read."""
    try:
        meta = next(body for kind, body in _boxes(memoryview(data)) if kind == b"meta")
        boxes = dict(_boxes(meta[4:]))  # a full box: version and flags come first
        inner = dict(_boxes(boxes[b"iprp"]))
        properties = [(kind, bytes(body[:64])) for kind, body in _boxes(inner[b"ipco"])]
        indices = _associations(bytes(inner[b"ipma"])).get(_primary_item(bytes(boxes[b"pitm"])), [])
    except (StopIteration, KeyError, IndexError):
        return []
    return [properties[index - 1] for index in indices if 0 < index <= len(properties)]


def _boxes(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Type and contents of the boxes in `view`; a box that does not fit ends them."""
    start = 0
    for _ in range(_MAX_BOXES):
        size, kind, head = int.from_bytes(view[start : start + 4], "big"), bytes(view[start + 4 : start + 8]), 8
        if size == 1:
            size, head = int.from_bytes(view[start + 8 : start + 16], "big"), 16
        end = len(view) if size == 0 else start + size
        if len(kind) < 4 or end > len(view) or end < start + head:
            return
        yield kind, view[start + head : end]
        start = end


def _primary_item(body: bytes) -> int:
    """The item of a "pitm" box."""
    return int.from_bytes(body[4 : 6 if body[0] == 0 else 8], "big")


def _associations(body: bytes) -> dict[int, list[int]]:
    """The indices of the properties of each item, from 1, in an "ipma" box."""
    item_bytes, wide = (2 if body[0] == 0 else 4), body[3] & 1
    found, start = {}, 8
    while start + item_bytes < len(body):
        item = int.from_bytes(body[start : start + item_bytes], "big")
        start += item_bytes + 1
        step = 2 if wide else 1
        values = [
            int.from_bytes(body[at : at + step], "big") for at in range(start, start + body[start - 1] * step, step)
        ]
        found[item] = [value & (0x7FFF if wide else 0x7F) for value in values]  # the highest bit: essential
        start += body[start - 1] * step
    return found
