"""PNG files (PNG specification, third edition, W3C 2025): validates the chunks and reads the color space.

Pillow refuses a file whose ancillary chunks are damaged or large, and accepts one whose image data end early. It gets
the chunks that matter for the pixels; libpng, too, ignores damaged ancillary chunks.
"""

import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from impasto.errors import PictureError
from impasto.images.decoding import cicp
from impasto.images.decoding.container import Container, truncated
from impasto.images.decoding.icc import MAX_PROFILE, Primaries, matrix_profile
from impasto.images.metadata import KEYWORD

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_DECODED = {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"}
"""The chunks that Pillow decodes for the pixels and their orientation; and the text with our keyword, see `_kept`."""
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_TEXT = {b"tEXt", b"zTXt", b"iTXt"}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by color type
# Adam7: first column, first row, step between columns, step between rows of each pass
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_SRGB_GAMMA = 45455
"""gAMA of a file in sRGB: 100000 / 2.2, rounded. It stands for sRGB's curve (section 11.3.2.2)."""
_INFLATED_AT_ONCE = 2**20
_MAX_CHUNKS = 2**18
"""Chunks of a file that are examined: enough for 150 million pixels in chunks of 8 KB."""


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    body: memoryview
    whole: memoryview
    """Length, type, body and checksum."""

    @property
    def intact(self) -> bool:
        """Whether the checksum, of type and body, is right."""
        return zlib.crc32(self.body, zlib.crc32(self.kind)) == int.from_bytes(self.whole[-4:], "big")


def examine(data: bytes, notes: list[str]) -> Container:
    """Validate the chunks of a PNG file; what was ignored is added to `notes`.

    Raises:
        PictureError: the chunks that hold the pixels are damaged or missing, or of a kind that is not supported.
    """
    chunks = list(itertools.islice(_chunks(data), _MAX_CHUNKS + 1))
    if len(chunks) > _MAX_CHUNKS:
        raise PictureError(f"is a PNG of more than {_MAX_CHUNKS} chunks; save it with another program")
    if chunks and chunks[0].kind == b"CgBI":
        raise PictureError(
            "is a PNG in Apple's iOS variant (CgBI), which is not supported; open it on a Mac and save it"
        )
    if not chunks or chunks[0].kind != b"IHDR" or len(chunks[0].body) != 13:
        raise PictureError("is truncated or damaged (it has no PNG header); get another copy of it")
    for chunk in chunks:
        _check_critical(chunk)
    known = [chunk for chunk in chunks if chunk.kind in _CRITICAL or chunk.intact]
    if len(known) < len(chunks):
        notes.append("parts of its metadata are damaged: ignored")
    named = {chunk.kind: bytes(chunk.body) for chunk in known if chunk.kind not in {b"IDAT", *_TEXT}}
    kept = [chunk.whole for chunk in known if _kept(chunk)]
    complete = chunks[-1].kind == b"IEND"
    if not complete:
        notes.append("its end is missing, but the image is complete")  # or `check` refuses it
        kept.append(memoryview(_END))
    return Container(
        data=data if complete and len(kept) == len(chunks) else b"".join([SIGNATURE, *kept]),
        profile=_profile(named, notes),
        check=partial(_check_complete, named[b"IHDR"], [chunk.body for chunk in known if chunk.kind == b"IDAT"]),
        several=int.from_bytes(named.get(b"acTL", b"")[:4], "big") > 1,
    )


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks up to IEND; the last one is cut off where the file ends, if it is IDAT, or left out."""
    view, start = memoryview(data), len(SIGNATURE)
    while start + 8 <= len(view):
        length = int.from_bytes(view[start : start + 4], "big")
        kind, end = bytes(view[start + 4 : start + 8]), start + 12 + length
        if end > len(view):
            if kind == b"IDAT":  # what there is of it may be the whole image
                yield _rebuilt(kind, view[start + 8 : start + 8 + length])
            return
        yield _Chunk(kind, view[start + 8 : end - 4], view[start:end])
        if kind == b"IEND":
            return
        start = end


def _rebuilt(kind: bytes, body: memoryview) -> _Chunk:
    """A chunk with the length and checksum of `body`."""
    checksum = struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
    return _Chunk(kind, body, memoryview(struct.pack(">I", len(body)) + kind + bytes(body) + checksum))


def _check_critical(chunk: _Chunk) -> None:
    """Refuse a critical chunk (its first letter is a capital) that is unknown or damaged."""
    if chunk.kind not in _CRITICAL:
        if not chunk.kind.isalpha():
            raise PictureError("is truncated or damaged (a chunk has no valid name); get another copy of it")
        if chunk.kind[:1].isupper():
            name = chunk.kind.decode("ascii")
            raise PictureError(f"is a PNG with a chunk {name} that is not supported; save it with another program")
    elif not chunk.intact:
        name = chunk.kind.decode("ascii")
        raise PictureError(f"is truncated or damaged (wrong checksum of {name}); get another copy of it")


def _kept(chunk: _Chunk) -> bool:
    return chunk.kind in _DECODED or (
        chunk.kind in _TEXT and bytes(chunk.body[: len(KEYWORD) + 1]) == KEYWORD.encode() + b"\0"
    )


def _check_complete(header: bytes, parts: Iterable[memoryview]) -> None:
    """Refuse image data that are shorter than the header says, once decompressed.

    Raises:
        PictureError: with the share that is missing.
    """
    expected, found = _data_length(header), 0
    inflate = zlib.decompressobj()
    try:
        for part in parts:
            rest: Any = part
            while rest and found < expected and not inflate.eof:
                found += len(inflate.decompress(rest, _INFLATED_AT_ONCE))
                rest = inflate.unconsumed_tail
        while found < expected and not inflate.eof:  # what zlib has kept back
            more = len(inflate.decompress(inflate.unconsumed_tail, _INFLATED_AT_ONCE))
            found += more
            if not more:
                break
    except zlib.error:
        pass
    if found < expected:
        raise truncated(1 - found / expected)


def _data_length(header: bytes) -> int:
    """Bytes of the decompressed image data: of each pass the rows, each after a byte for its filter type."""
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits = depth * _CHANNELS.get(color, 1)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = [(-((left - width) // right), -((top - height) // down)) for left, top, right, down in passes]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _profile(chunks: dict[bytes, bytes], notes: list[str]) -> bytes | None:
    """The ICC profile of the samples by the first of cICP, iCCP, sRGB, and gAMA with cHRM (section 12.14)."""
    if len(chunks.get(b"cICP", b"")) == 4:
        primaries, transfer, matrix, full_range = chunks[b"cICP"]
        if matrix == 0 and full_range == 1:
            return cicp.profile(primaries, transfer, notes)
        notes.append("its color space (cICP) is a video color space: ignored")
    if b"iCCP" in chunks:
        return _embedded_profile(chunks[b"iCCP"], notes)
    if b"sRGB" in chunks:
        return b""
    gamma, chromaticities = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    if len(gamma) != 4 and len(chromaticities) != 32:
        return None
    return _calibrated_profile(gamma, chromaticities, notes)


def profile_in_info(info: Mapping[Any, Any], notes: list[str]) -> bytes | None:
    """The profile for gAMA and cHRM as Pillow keeps them; None without, or if a profile or sRGB comes before them."""
    if not {"gamma", "chromaticity"} & info.keys() or {"icc_profile", "srgb"} & info.keys():
        return None
    gamma = struct.pack(">I", round(1e5 * info["gamma"])) if "gamma" in info else b""
    chromaticities = b"".join(struct.pack(">I", round(1e5 * value)) for value in info.get("chromaticity", ()))
    return _calibrated_profile(gamma, chromaticities, notes)


def _embedded_profile(chunk: bytes, notes: list[str]) -> bytes:
    """The profile in an iCCP chunk: a name, its terminator, the compression method 0, the zlib stream."""
    _, _, stream = chunk.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(stream[1:], MAX_PROFILE)
    except zlib.error:
        profile = b""
    if not inflate.eof:
        reason = "damaged" if len(profile) < MAX_PROFILE else f"larger than {MAX_PROFILE >> 20} MB"
        notes.append(f"its color profile is {reason}: assumed sRGB")
        return b""
    return profile


def _calibrated_profile(gamma: bytes, chromaticities: bytes, notes: list[str]) -> bytes:
    """The profile for gAMA (the exponent of the encoding) and cHRM (x and y of white, red, green, blue), both * 1e5.

    Without cHRM the primaries are those of sRGB, without gAMA the curve is.
    """
    exponent = int.from_bytes(gamma, "big") if len(gamma) == 4 else _SRGB_GAMMA
    numbers = [value / 1e5 for value in struct.unpack(">8I", chromaticities)] if len(chromaticities) == 32 else None
    points = cicp.SRGB if numbers is None else Primaries.of(numbers)
    decoding = None if abs(exponent / _SRGB_GAMMA - 1) < 0.05 else 1e5 / max(exponent, 1)
    profile = matrix_profile("the color space of the file (gAMA, cHRM)", points, decoding)
    if profile is None:
        notes.append("its color space (gAMA, cHRM) is invalid: assumed sRGB")
    return profile or b""
