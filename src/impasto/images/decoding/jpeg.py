"""JPEG files (ITU-T T.81): names the kinds that cannot be decoded, and detects incomplete or damaged data.

libjpeg fills what is missing with gray and reports a warning, which Pillow hides: simplejpeg shows it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

import simplejpeg

from impasto.errors import PictureError
from impasto.images.decoding.container import Container

_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""Within entropy-coded data: neither a stuffed zero nor a restart marker (T.81, B.1.1.5)."""
_START_OF_SCAN = 0xDA
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}
# start-of-frame markers that libjpeg cannot decode (T.81, table B.1; JPEG-LS: T.87)
_UNSUPPORTED = dict.fromkeys((0xC3, 0xCB), "lossless JPEG") | {0xF7: "JPEG-LS"}
_UNSUPPORTED |= dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical JPEG")
_PROGRESSIVE = {0xC2, 0xCA}
_FRAMES = {0xC0, 0xC1, *_PROGRESSIVE, *_UNSUPPORTED}
_MODES = {
    "Gray": "GRAY",
    "CMYK": "CMYK",
    "YCCK": "CMYK",
}  # simplejpeg's names: color space of the file -> of the output


def examine(data: bytes, notes: list[str]) -> Container:
    """Validate the markers of a JPEG file; a missing end marker is added, and to `notes`.

    Raises:
        PictureError: a kind of JPEG that is not supported.
    """
    segments = list(_segments(data))
    frame = next((kind for kind, _ in segments if kind in _FRAMES), None)
    for kind, body in segments:
        if kind in _UNSUPPORTED:
            raise PictureError(f"is a {_UNSUPPORTED[kind]}, which is not supported; save it as PNG or plain JPEG")
        if kind in _FRAMES and body[:1] != b"\x08":
            bits = body[0] if body else 0
            raise PictureError(f"is a JPEG with {bits} bits per channel, which is not supported; save it with 8")
    if segments and segments[-1][0] == _START_OF_SCAN:  # the scans end with the file
        notes.append("its end marker is missing, but the image is complete")  # or `check` refuses it
        data += _END
    if frame in _PROGRESSIVE and not _has_all_scans([body for kind, body in segments if kind == _START_OF_SCAN]):
        notes.append("its last scans are missing: it lacks fine detail")
    return Container(data, check=partial(check_complete, data, notes))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker of each segment up to the end marker, with its parameters; entropy-coded data are skipped.

    Of the scans of a file that is not progressive, only the first is found: searching for the end marker is faster.
    """
    start, is_progressive = 2, False
    while marker := _MARKER.search(data, start):
        kind, start = marker[1][0], marker.end()
        if kind in _WITHOUT_LENGTH:
            yield kind, b""
            if _END.endswith(marker[1]):
                return
            continue
        length = int.from_bytes(data[start : start + 2], "big")
        yield kind, data[start + 2 : start + min(length, 64)]
        start += max(length, 2)
        is_progressive |= kind in _PROGRESSIVE
        if kind == _START_OF_SCAN and not is_progressive:
            start = data.find(_END, start)
            if start < 0:
                return


def _has_all_scans(scans: list[bytes]) -> bool:
    """Whether every coefficient of every component is sent to its last bit (T.81, B.2.3 and G.1.1.1)."""
    lowest_bit: dict[int, dict[int, int]] = defaultdict(lambda: dict.fromkeys(range(64), 13))
    for body in scans:
        count = body[0] if body else 0
        if len(body) < 4 + 2 * count:
            return False
        first, last, approximation = body[1 + 2 * count : 4 + 2 * count]
        for component in body[1 : 1 + 2 * count : 2]:
            lowest_bit[component] |= dict.fromkeys(range(first, min(last, 63) + 1), approximation & 15)
    return all(not any(bits.values()) for bits in lowest_bit.values())


def check_complete(data: bytes, notes: list[str]) -> None:
    """Decode at an eighth of the size, to get the warnings of libjpeg.

    Raises:
        PictureError: data that end early or contradict themselves.
    """
    try:
        space = simplejpeg.decode_jpeg_header(data, strict=False)[2]
        simplejpeg.decode_jpeg(data, _MODES.get(space, "RGB"), min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        complaint = str(error)
        if "extraneous bytes" in complaint:  # common: some cameras pad the data
            notes.append("extra bytes in its data were skipped: parts of the image may be damaged")
        elif complaint.startswith(("Corrupt JPEG data", "Premature end")):
            raise PictureError(f"is truncated or damaged ({complaint}); get another copy of it") from error
