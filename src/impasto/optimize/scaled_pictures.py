"""Input images reduced to the sizes that a run needs them at."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from impasto.images.picture import Picture
from impasto.images.resize import resize
from impasto.optimize.memory_plan import Size

ALL_CHANNELS, FIRST_CHANNEL = slice(3), slice(1)
"""Channels of an image, and the one of a mask, whose three channels are equal."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """A picture no larger than a run needs it, without alpha, and smaller copies, (1, C, H, W), by their sizes."""

    picture: Picture
    copies: Mapping[Size, Tensor]


class ScaledPictures:
    """Pictures at the sizes of a run's scales, without the pixels of larger originals."""

    def __init__(self, resampling: str) -> None:
        self._resampling = resampling
        self._copies: dict[tuple[Picture, Size], Tensor] = {}  # smaller than the picture, (1, C, H, W)

    @property
    def nbytes(self) -> int:
        """Memory of the copies; the pictures themselves belong to the caller."""
        return sum(copy.nbytes for copy in self._copies.values())

    def reduce(self, picture: Picture, tensor: Tensor, sizes: Sequence[Size]) -> Reduced:
        """The picture with the pixels of `tensor` (C, H, W), no larger than the last of `sizes`, and without alpha.

        If that makes it smaller, copies at the other sizes are made from the original pixels, too. Resizing the reduced
        picture again would not give the same pixels, and a small run would not be the beginning of a large one.
        """
        original_size = picture.height, picture.width
        size = min(sizes[-1], original_size)
        image = tensor[None]
        reduced = dataclasses.replace(picture, tensor=self.resize(image, size)[0].expand(3, -1, -1), alpha=None)
        if size == original_size:  # a small original is kept whole, and resized whenever a scale needs it
            return Reduced(reduced, {})
        return Reduced(reduced, {other: self.resize(image, other) for other in sizes if other != size})

    def add(self, reduced: Reduced) -> Picture:
        """Use what `reduce` returned; its picture."""
        self._copies |= {(reduced.picture, size): copy for size, copy in reduced.copies.items()}
        return reduced.picture

    def at(self, picture: Picture, size: Size, channels: slice = ALL_CHANNELS) -> Tensor:
        """Some channels of a picture that `add` returned, at the size of a scale: (1, C, H, W) in [0, 1]."""
        copy = self._copies.get((picture, size))
        return self.resize(picture.tensor[None, channels], size) if copy is None else copy[:, channels]

    def resize(self, images: Tensor, size: Size) -> Tensor:
        """(N, C, H, W) in [0, 1] -> the same at another size, by the run's resampling method."""
        return resize(images, *size, self._resampling)
