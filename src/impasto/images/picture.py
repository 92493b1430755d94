"""`Picture`: the pixels of an image file, as a tensor; read by `load`, written by `Picture.save`."""

import dataclasses
import functools
import hashlib
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from numpy.typing import DTypeLike
from PIL import Image
from torch import Tensor

from impasto import files
from impasto.arguments import as_path
from impasto.errors import PictureError, SettingError, prefix_errors, printable
from impasto.images import arrays, writer
from impasto.images.alpha import composite, visible_mean
from impasto.images.bands import Array
from impasto.images.decoding import reader
from impasto.images.decoding.contents import MAX_PIXELS, Limits
from impasto.images.formats import FORMATS, check_format, check_suffix
from impasto.images.quantize import NEAREST, Quantization
from impasto.images.recipe import to_json
from impasto.memory import memory_left
from impasto.settings.model import Depth
from impasto.torch_state import isolated

DISPLAY_EDGE = 1024
"""Long edge in pixels up to which a notebook displays a picture at its own size."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image: `tensor` (3, H, W) float32 in [0, 1], sRGB, RGB order; `alpha` (1, H, W) float32 in [0, 1] or None.

    Tensors on another device are copied to the CPU; gradients do not flow through a picture. Values outside of [0, 1]
    by a rounding error, at most 2^-10, are clamped. `from_pil` and `from_array` take other types, layouts and dtypes;
    `numpy.asarray(picture)` is `to_array()`, and notebooks display a picture.

    Attributes:
        name: the name of its file, without the folder.
        sha256: of the file's bytes.
        notes: what `load` converted or ignored.
        recipe: how the image was made; `save` embeds it.
        rounding: how `save` quantizes, unless its arguments say otherwise.

    Raises:
        PictureError: a tensor of another shape, dtype or range.
    """

    tensor: Tensor
    alpha: Tensor | None = None
    name: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()
    recipe: Mapping[str, Any] | None = None
    rounding: Quantization = NEAREST

    @isolated
    def __post_init__(self) -> None:
        """Validate both tensors, and make them usable in any state of torch."""
        object.__setattr__(self, "tensor", arrays.checked("an image", self.tensor, 3))
        if self.alpha is not None:
            object.__setattr__(self, "alpha", arrays.checked("an alpha channel", self.alpha, 1))
            if self.alpha.shape[1:] != self.tensor.shape[1:]:
                sizes = f"{tuple(self.alpha.shape[1:])} and {tuple(self.tensor.shape[1:])}"
                raise PictureError(f"alpha and image must have the same height and width; got {sizes}; resize one")

    def __repr__(self) -> str:
        return f"Picture({self.name!r}, {self.width}x{self.height} pixels)"

    @classmethod
    @isolated
    def from_pil(cls, image: Image.Image, *, name: str = "") -> "Picture":
        """The current frame of an image of Pillow, of any mode: upright, in sRGB, as `load` reads a file.

        Its EXIF data and color profile are those in `image.info`. Where Pillow keeps 8 of 16 bits, 8 are used.

        Args:
            name: of the picture, for its recipes and messages.

        Raises:
            PictureError: not an image of Pillow, or values that are no colors.
        """
        limits = Limits(MAX_PIXELS, memory_left(None))
        return picture_of(reader.decode_image(image, name=name or "image", limits=limits), name)

    @classmethod
    @isolated
    def from_array(cls, array: Array | Tensor, *, layout: arrays.Layout | None = None, name: str = "") -> "Picture":
        """A copy of an image in sRGB, RGB order, in a NumPy array or a tensor on any device.

        Its shape is (H, W), (H, W, C), (C, H, W), (1, H, W, C) or (1, C, H, W) with C = 1 (gray), 3 or 4 (straight
        alpha); its dtype is uint8 in 0..255, uint16 in 0..65535, bool, or floating point in [0, 1].

        Args:
            layout: "HWC" or "CHW", for a shape such as (3, 20, 4), which may be both.
            name: of the picture, for its recipes and messages.

        Raises:
            PictureError: another shape, dtype or range, or a shape that may be both.
        """
        return cls(*arrays.split(array, layout), name=name)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.tensor.shape[2]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.tensor.shape[1]

    @property
    @isolated
    def content_hash(self) -> str:
        """The SHA-256 of the file or, if the picture comes from none, of the tensors' bytes; hexadecimal."""
        tensors = [self.tensor] if self.alpha is None else [self.tensor, self.alpha]
        return self.sha256 or hashlib.sha256(b"".join(each.numpy().tobytes() for each in tensors)).hexdigest()

    @isolated
    def composited(self) -> Tensor:
        """(3, H, W) float32 in [0, 1], sRGB: composited on the mean color of the visible pixels.

        On any other background the outline would be a hard edge, and the network would see a color that is not in the
        image.
        """
        if self.alpha is None:
            return self.tensor
        return composite(visible_mean(self.tensor, self.alpha)[:, None, None], self.tensor, self.alpha)

    @isolated
    def rounded(self) -> "Picture":
        """The picture as it will be after saving without loss and loading: quantized, still float32 in [0, 1]."""
        alpha = None if self.alpha is None else Quantization(self.rounding.depth).round_trip(self.alpha)
        return dataclasses.replace(self, tensor=self.rounding.round_trip(self.tensor), alpha=alpha)

    @isolated
    def to_array(self, dtype: DTypeLike = "uint8") -> Array:
        """(H, W, 3), or (H, W, 4) with alpha, in sRGB: uint8 in 0..255, uint16 in 0..65535, or float32 in [0, 1].

        Integers are those that `save` writes at that depth. Another dtype is a SettingError.
        """
        kind = getattr(dtype, "__name__", str(dtype))
        if kind == "float32":
            planes = self.tensor if self.alpha is None else torch.cat([self.tensor, self.alpha])
            return planes.permute(1, 2, 0).clone(memory_format=torch.contiguous_format).numpy()
        if kind not in ("uint8", "uint16"):
            raise SettingError(f"dtype: got {kind}; give uint8, uint16 or float32")
        quantization = self._quantization(8 if kind == "uint8" else 16, None)
        return np.concatenate([*writer.quantized_bands(self.tensor, self.alpha, quantization)])

    @isolated
    def to_pil(self) -> Image.Image:
        """An image of Pillow, mode RGB or, with alpha, RGBA: the pixels that `save` writes at 8 bits per channel."""
        bands = writer.quantized_bands(self.tensor, self.alpha, self._quantization(8, None))
        return writer.to_pillow(bands, (self.height, self.width, 3 if self.alpha is None else 4))

    def __array__(self, dtype: object = None, copy: bool | None = None) -> Array:
        """For NumPy: `to_array()`, (H, W, 3 or 4) uint8; its values are converted to `dtype` but not scaled."""
        if copy is False:
            raise ValueError("a Picture is stored as float32 tensors; its array is a copy")
        return np.asarray(self.to_array(), dtype=dtype)  # type: ignore[call-overload, no-any-return]

    def _repr_png_(self) -> bytes:
        """For notebooks: the image as PNG, at most DISPLAY_EDGE pixels long."""
        image, file = self.to_pil(), io.BytesIO()
        image.thumbnail((DISPLAY_EDGE, DISPLAY_EDGE), Image.Resampling.LANCZOS)
        image.save(file, "PNG")
        return file.getvalue()

    @isolated
    def save(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        *,
        overwrite: bool = True,
        quality: int = 95,
        depth: Depth | None = None,
        dither: bool | None = None,
    ) -> None:
        """Write the picture to `path`, in the format of its suffix, completely or not at all; to an open file as PNG.

        PNG and TIFF are lossless. JPEG (composited on white) and WebP are lossy; WebP is lossless at quality 100. The
        recipe is embedded: as the text "impasto" in a PNG, in other formats as EXIF user comment. A TIFF of more than
        4 GB of samples is a BigTIFF, which has the same suffixes and is read by most programs.

        Args:
            overwrite: replace an existing file.
            quality: of JPEG and WebP, 1 to 100.
            depth: bits per channel, 8 or (PNG and TIFF only) 16; by default that of `rounding`.
            dither: dither when quantizing to 8 bits; by default as in `rounding`.

        Raises:
            OutputError: an unknown suffix, a file that cannot be written there, or a picture that the format cannot
                hold.
            SettingError: `quality` or `depth` out of range.
            RecipeError: a recipe that is not JSON.
            SaveError: the disk is full, or the file could not be written or encoded.
        """
        if hasattr(path, "write"):
            self.write(cast(BinaryIO, path), quality=quality, depth=depth, dither=dither)
            return
        path = as_path(path, "path")
        quantization = self._quantization(depth, dither)
        check_suffix(path, quantization.depth)
        encode = self._encoder(FORMATS[path.suffix.lower()], quantization, quality)
        files.check_output(path, overwrite=overwrite)
        with files.replacing(path, overwrite=overwrite) as file, prefix_errors(printable(path)):
            encode(file)

    @isolated
    def write(
        self,
        file: BinaryIO,
        file_format: str = "PNG",
        *,
        quality: int = 95,
        depth: Depth | None = None,
        dither: bool | None = None,
    ) -> None:
        """Encode the picture as "PNG", "JPEG", "WEBP" or "TIFF" to an open binary file; otherwise as `save`.

        A TIFF needs a seekable file. Errors of `file` are not translated.
        """
        quantization = self._quantization(depth, dither)
        check_format(file_format, quantization.depth)
        self._encoder(file_format, quantization, quality)(file)

    def _quantization(self, depth: Depth | None, dither: bool | None) -> Quantization:
        return Quantization(
            self.rounding.depth if depth is None else depth, self.rounding.dither if dither is None else dither
        )

    def _encoder(self, file_format: str, quantization: Quantization, quality: int) -> Callable[[BinaryIO], None]:
        """The function that encodes the picture to a file; quality and recipe are validated before it is called."""
        if not 1 <= quality <= 100:
            raise SettingError(f"quality: got {quality}; give 1 to 100, 95 is visually lossless")
        return functools.partial(
            writer.write,
            tensor=self.tensor,
            alpha=self.alpha,
            file_format=file_format,
            quantization=quantization,
            quality=quality,
            recipe=None if self.recipe is None else to_json(self.recipe),
        )


def picture_of(decoded: reader.Decoded, name: str) -> Picture:
    """The picture of that name with the samples of a file, or of an image of Pillow."""
    alpha = None if decoded.alpha is None else arrays.to_tensor(decoded.alpha[..., None])
    return Picture(arrays.to_tensor(decoded.color), alpha, printable(name), decoded.sha256, decoded.notes)
