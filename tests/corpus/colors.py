"""Conversions to sRGB by published matrices, independent of ICC profiles."""

import numpy as np

# CSS Color Module Level 4, section 20: linear light to XYZ (D65), and XYZ to linear sRGB
XYZ_TO_SRGB = np.linalg.inv(
    [
        [506752 / 1228815, 87881 / 245763, 12673 / 70218],
        [87098 / 409605, 175762 / 245763, 12673 / 175545],
        [7918 / 409605, 87881 / 737289, 1001167 / 1053270],
    ]
)
P3_TO_XYZ = [
    [608311 / 1250200, 189793 / 714400, 198249 / 1000160],
    [35783 / 156275, 247089 / 357200, 198249 / 2500400],
    [0, 32229 / 714400, 5220557 / 5000800],
]
ADOBE_TO_XYZ = [
    [573536 / 994567, 263643 / 1420810, 187206 / 994567],
    [591459 / 1989134, 6239551 / 9945670, 374412 / 4972835],
    [53769 / 1989134, 351524 / 4972835, 4929758 / 4972835],
]
REC2020_TO_XYZ = [
    [63426534 / 99577255, 20160776 / 139408157, 47086771 / 278816314],
    [26158966 / 99577255, 472592308 / 697040785, 8267143 / 139408157],
    [0, 19567812 / 697040785, 295819943 / 278816314],
]


def srgb_decode(samples):
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


def srgb_encode(light):
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def to_srgb(samples, to_xyz=None, gamma=None):
    """(H, W, 3) in 0..255, from the space of the matrix; decoded by `gamma`, or by sRGB's curve."""
    values = np.asarray(samples)[..., :3] / 255
    light = srgb_decode(values) if gamma is None else values**gamma
    if to_xyz is not None:
        light = light @ (XYZ_TO_SRGB @ np.array(to_xyz)).T
    return srgb_encode(light) * 255
