"""Color spaces by code points (ITU-T H.273, "CICP"), as PNG and AVIF files name them."""

from impasto.errors import PictureError
from impasto.images.decoding.icc import Primaries, matrix_profile

_D65 = (0.3127, 0.3290)
SRGB = Primaries(_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
ADOBE_RGB = Primaries(_D65, (0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
ADOBE_RGB_GAMMA = 563 / 256
"""Adobe RGB (1998) Color Image Encoding, Adobe Systems 2005, 4.3.1.2."""

_UNSPECIFIED = 2
_PRIMARIES = {
    1: ("sRGB", SRGB),
    5: ("BT.601 (625 lines)", Primaries(_D65, (0.640, 0.330), (0.290, 0.600), (0.150, 0.060))),
    6: ("BT.601 (525 lines)", Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    9: ("BT.2020", Primaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    12: ("Display P3", Primaries(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_SRGB_CURVE = {_UNSPECIFIED, 13}
_VIDEO_CURVES = {1, 6, 14, 15}
"""BT.709, BT.601 and BT.2020: how cameras encode. Images so labeled are made and shown with sRGB's curve."""
_HDR = {16: "PQ", 18: "HLG"}


def profile(primaries: int, transfer: int, notes: list[str]) -> bytes:
    """The ICC profile of a color space; empty if it is sRGB, or not known, which is added to `notes`.

    Raises:
        PictureError: HDR.
    """
    if transfer in _HDR:
        raise PictureError(
            f"is an HDR image ({_HDR[transfer]}), which is not supported; export it as SDR, in sRGB or P3"
        )
    if primaries == _UNSPECIFIED:
        primaries = 1
    if primaries not in _PRIMARIES or transfer not in {*_GAMMAS, *_SRGB_CURVE, *_VIDEO_CURVES}:
        notes.append(f"its color space (CICP {primaries}/{transfer}) is not supported: assumed sRGB")
        return b""
    name, points = _PRIMARIES[primaries]
    gamma = _GAMMAS.get(transfer)
    if points == SRGB and gamma is None:
        return b""
    return matrix_profile(name if gamma is None else f"{name} with gamma {gamma:g}", points, gamma) or b""
