"""`Picture`: the pixels of an image file, as a tensor; read by `load`, written by `Picture.save`."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from torch import Tensor

from impasto import files
from impasto.arguments import as_path, no_image
from impasto.errors import PictureError, SettingError, prefix_errors, printable
from impasto.images import writer
from impasto.images.alpha import composite, visible_mean
from impasto.images.formats import FORMATS, check_format, check_suffix
from impasto.images.quantize import NEAREST, Quantization
from impasto.images.recipe import to_json
from impasto.settings.model import Depth
from impasto.torch_state import isolated


@dataclass(frozen=True, eq=False)
class Picture:
    """An image: `tensor` (3, H, W) float32 in [0, 1], sRGB, RGB order; `alpha` (1, H, W) float32 in [0, 1] or None.

    Tensors on another device are copied to the CPU; gradients do not flow through a picture.

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
        _check_tensor("an image", self.tensor, 3)
        object.__setattr__(self, "tensor", _plain(self.tensor))
        if self.alpha is not None:
            _check_tensor("an alpha channel", self.alpha, 1)
            object.__setattr__(self, "alpha", _plain(self.alpha))
            if self.alpha.shape[1:] != self.tensor.shape[1:]:
                sizes = f"{tuple(self.alpha.shape[1:])} and {tuple(self.tensor.shape[1:])}"
                raise PictureError(f"alpha and image must have the same height and width; got {sizes}; resize one")

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
    def save(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        quality: int = 95,
        depth: Depth | None = None,
        dither: bool | None = None,
    ) -> None:
        """Write the picture to `path`, in the format of its suffix, completely or not at all.

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


def check_pictures(**pictures: object) -> None:
    """Refuse what is no `Picture` where nothing else may be passed; None is an image that was not given.

    Raises:
        PictureError: naming the parameter.
    """
    for role, picture in pictures.items():
        if picture is not None and not isinstance(picture, Picture):
            raise no_image(picture, role, "give a Picture; impasto.load reads one from a file")


def _check_tensor(what: str, tensor: object, channels: int) -> None:
    expected = f"{what} is a ({channels}, H, W) float32 tensor in [0, 1]"
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise PictureError(f"{expected}; got {got}; convert it to float32")
    if tensor.ndim != 3 or tensor.shape[0] != channels or tensor.numel() == 0:
        raise PictureError(f"{expected}; got the shape {tuple(tensor.shape)}; reshape it")
    low, high = float(tensor.detach().amin()), float(tensor.detach().amax())  # aminmax copies non-contiguous tensors
    if not (low >= 0 and high <= 1):  # in this form NaN is refused, too
        raise PictureError(f"{expected}; got values from {low:g} to {high:g}; scale or clamp them")


def _plain(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, without autograd; a copy only if it is elsewhere or was made in inference mode."""
    plain = (tensor.detach() if tensor.requires_grad else tensor).cpu()
    return plain.clone() if plain.is_inference() else plain
