"""Finds faces of all sizes: the network looks at several sizes of the image, and of overlapping boxes the best wins."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from impasto.images.faces import network
from impasto.images.resize import resize, scaled_size

EDGES = (1024, 512, 256)
"""Long edges of the image, in pixels, at which the network looks for faces of 10 to 300 pixels: at all of them together
it finds those of a hundredth of the long edge and more."""
MAX_ENLARGEMENT = 2
"""A small image is not enlarged further: the network would find nothing new."""
MIN_SCORE = 0.7
"""Of the candidates below this score, most are none."""
MAX_OVERLAP = 0.3
"""Boxes whose intersection is a larger share of their union are the same face."""


@dataclass(frozen=True)
class Face:
    """A face, in fractions of the image's width (x) and height (y).

    Attributes:
        score: 0 to 1.
        box: left, top, right, bottom.
        landmarks: (x, y) of the eye on the left of the image, the other eye, the tip of the nose, and the corners of
            the mouth, left and right.
    """

    score: float
    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]


def detect(image: Tensor, min_score: float = MIN_SCORE) -> tuple[Face, ...]:
    """(1, 3, H, W) in [0, 1] on the CPU -> the faces in it, the one with the highest score first."""
    candidates: list[Face] = []
    longest = MAX_ENLARGEMENT * max(image.shape[2:])
    for edge in EDGES:
        if edge <= longest or edge == EDGES[-1]:
            size = scaled_size(image.shape[2], image.shape[3], edge)
            image = resize(image, max(size[0], 1), max(size[1], 1))  # each size from the one before: large images once
            candidates += _candidates(image, min_score)
    found: list[Face] = []
    for face in sorted(candidates, key=lambda face: face.score, reverse=True):
        if all(_overlap(face.box, other.box) <= MAX_OVERLAP for other in found):
            found.append(face)
    return tuple(found)


def _candidates(image: Tensor, min_score: float) -> Iterator[Face]:
    """What the network takes for faces at the size that the image has."""
    height, width = image.shape[2:]
    stride = network.STRIDES[-1]
    padded = F.pad(image, (0, -width % stride, 0, -height % stride))
    for stride, outputs in zip(network.STRIDES, network.evaluate(padded), strict=True):
        score = (outputs["cls"].sigmoid() * outputs["obj"].sigmoid()).sqrt()[0, 0]
        for y, x in (score >= min_score).nonzero().tolist():
            box, points = outputs["bbox"][0, :, y, x].tolist(), outputs["kps"][0, :, y, x].tolist()
            yield _face(float(score[y, x]), (x, y), box, points, (stride / width, stride / height))


def _face(score: float, at: tuple[int, int], box: list[float], points: list[float], unit: tuple[float, float]) -> Face:
    """The face at a position. Box (offset of its center, logarithm of its size) and points are in units of a stride."""
    (x, y), (across, down) = at, unit
    center, size = (x + box[0], y + box[1]), (math.exp(box[2]), math.exp(box[3]))
    corners = [(center[0] + side * size[0] / 2, center[1] + side * size[1] / 2) for side in (-1, 1)]
    scaled = [(across * left, down * top) for left, top in corners]
    landmarks = tuple((across * (x + dx), down * (y + dy)) for dx, dy in zip(points[::2], points[1::2], strict=True))
    return Face(score, (*scaled[0], *scaled[1]), landmarks)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """The intersection of two boxes as a share of their union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / (_area(one) + _area(other) - common)


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
