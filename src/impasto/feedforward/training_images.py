"""The images that a network is trained on: bundled, procedural, or the user's; and random crops of them."""

from collections.abc import Sequence
from importlib import resources

import torch
from torch import Tensor

from impasto.errors import PictureError
from impasto.feedforward.procedural_images import procedural_image
from impasto.images.loading import load
from impasto.images.picture import Picture
from impasto.images.resize import resize
from impasto.torch_state import isolated

PROCEDURAL_IMAGES = 8
"""Number of procedural images among the default training images."""
LARGEST_CROP = 512
"""Edge in pixels of the largest crop that a step trains on."""
MAX_SHORT_EDGE = 768
"""Training images are reduced to this short edge."""
MIN_SHORT_EDGE = 128
"""Shorter ones are refused; those between this and `LARGEST_CROP` are enlarged."""


@isolated
def default_training_images() -> list[Picture]:
    """The images of the demo, and procedural ones."""
    with resources.as_file(resources.files("impasto") / "demo") as folder:
        bundled = [load(path) for path in sorted(folder.glob("*.jpg"))]
    drawn = [Picture(procedural_image(seed), name=f"scene {seed}") for seed in range(PROCEDURAL_IMAGES)]
    return bundled + drawn


def prepared(image: Picture) -> Tensor:
    """A training image as (3, H, W) float32 in [0, 1], with a short edge from `LARGEST_CROP` to `MAX_SHORT_EDGE`.

    Raises:
        PictureError: it is too small.
    """
    short_edge = min(image.height, image.width)
    if short_edge < MIN_SHORT_EDGE:
        name, size = image.name or "picture", f"{image.width}x{image.height} pixels"
        raise PictureError(f"{name}: {size} are too few for a training image; give {LARGEST_CROP} or more on each side")
    factor = min(max(short_edge, LARGEST_CROP), MAX_SHORT_EDGE) / short_edge
    height, width = (round(factor * edge) for edge in (image.height, image.width))
    return resize(image.composited()[None], height, width)[0]


def random_crop(images: Sequence[Tensor], edge: int, generator: torch.Generator) -> Tensor:
    """A square of one of the images, at a random size and maybe mirrored: (1, 3, edge, edge).

    The short edge of the resized image is between `edge` and its own.
    """

    def below(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    image = images[below(len(images))]
    short_edge = min(image.shape[1:])
    factor = (edge + below(short_edge - edge + 1)) / short_edge
    height, width = (max(round(factor * each), edge) for each in image.shape[1:])
    resized = resize(image[None], height, width)
    top, left = below(height - edge + 1), below(width - edge + 1)
    crop = resized[:, :, top : top + edge, left : left + edge]
    return crop.flip(3) if below(2) else crop
