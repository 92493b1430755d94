"""Picture: what a file shows, as a tensor; read by `load`, written by `Picture.save`."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto import files
from impasto.errors import OutputError, PictureError, RecipeError, SettingError, printable
from impasto.images import writer
from impasto.images.quantize import NEAREST, Rounding
from impasto.images.reader import decode, embedded
from impasto.images.recipe import Recipe
from impasto.images.samples import Array
from impasto.images.writer import CHARSET, DEEP, FORMATS, KEYWORD
from impasto.settings.model import Depth

MAX_PIXELS = 150_000_000
_MAX_RECIPE = 1_000_000  # characters; one that a run writes has a few thousand


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture: `tensor` is (3, H, W) float32 in [0, 1], sRGB, RGB order; `alpha` (1, H, W) float32 in [0, 1] or None.

    `name` is the name of its file without the folder, `sha256` that of the file's bytes, `notes` what `load` had to
    decide, `recipe` what `save` embeds so that the result can be repeated, and `rounding` what `save` makes levels by.

    Raises:
        PictureError: a tensor that is not as said.
    """

    tensor: Tensor
    alpha: Tensor | None = None
    name: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()
    recipe: Mapping[str, Any] | None = None
    rounding: Rounding = NEAREST

    def __post_init__(self) -> None:
        """The check at the door."""
        _check("a picture", self.tensor, 3)
        if self.alpha is not None:
            _check("the alpha of a picture", self.alpha, 1)
            if self.alpha.shape[1:] != self.tensor.shape[1:]:
                sizes = f"{tuple(self.alpha.shape[1:])} and {tuple(self.tensor.shape[1:])}"
                raise PictureError(f"alpha and picture are of one height and width; got {sizes}; resize one of them")

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.tensor.shape[2]

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.tensor.shape[1]

    @property
    def content_hash(self) -> str:
        """The SHA-256 of the file or, for a picture that came from none, of the tensor's bytes; hexadecimal."""
        return self.sha256 or hashlib.sha256(self.tensor.numpy().tobytes()).hexdigest()

    def matted(self) -> Tensor:
        """(3, H, W) float32 in [0, 1], sRGB: without alpha, laid on the mean color of what can be seen.

        On any other color the outline would be a hard edge, and its color foreign to the picture.
        """
        if self.alpha is None:
            return self.tensor
        seen = self.alpha if bool(self.alpha.any()) else torch.ones_like(self.alpha)
        total = torch.stack([(channel * seen[0]).sum(dtype=torch.float64) for channel in self.tensor])  # one at a time
        matte = (total / seen.sum(dtype=torch.float64)).to(self.tensor)
        return writer.laid_on(matte[:, None, None], self.tensor, self.alpha)

    def rounded(self) -> "Picture":
        """The same picture in the levels that a saved file can hold, still float32 in [0, 1]."""
        alpha = None if self.alpha is None else Rounding(self.rounding.depth).rounded(self.alpha)
        return dataclasses.replace(self, tensor=self.rounding.rounded(self.tensor), alpha=alpha)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = True,
        quality: int = 95,
        depth: Depth | None = None,
        dither: bool | None = None,
    ) -> None:
        """Write the picture to `path`, in the format of its suffix, whole or not at all.

        `depth` is the bits a channel, 8 or 16, and `dither` spreads what 8 bits cannot say over neighboring pixels;
        not given, they are those of `rounding`. Only PNG and TIFF hold 16 bits.

        PNG and TIFF are exact. JPEG (on white where there is alpha) and WebP lose a little, as `quality` from 1 to 100
        says; WebP at 100 is exact. The recipe is embedded: as text `impasto` in a PNG, elsewhere as EXIF user comment.
        A TIFF of more than 4 GB of samples is a BigTIFF, which has the same suffixes and is read by most programs.

        Raises:
            OutputError: a suffix that is not known, a place that cannot be written, too large or too deep for the
                format.
            SettingError: `quality` or `depth` out of its range.
            RecipeError: a recipe that is not JSON.
            SaveError: the disk is full, or the folder can no longer be written.
        """
        path = Path(path)
        rounding = Rounding(
            self.rounding.depth if depth is None else depth, self.rounding.dither if dither is None else dither
        )
        check_suffix(path, rounding.depth)
        if not 1 <= quality <= 100:
            raise SettingError(f"quality is from 1 to 100; got {quality}; 95 keeps what the eye can see")
        files.check_output(path, overwrite=overwrite)
        recipe = None if self.recipe is None else _recipe_text(self.recipe)
        alpha = None if self.alpha is None else self.alpha.detach()
        writer.write(path, self.tensor.detach(), alpha, rounding, recipe=recipe, quality=quality)


def load(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file: upright, in sRGB, at the depth of the file.

    What had to be decided (the first frame of an animation, a converted or broken profile) is told in `notes`.

    Raises:
        PictureError: no file, no picture, more than `max_pixels`, or damaged.
    """
    path = Path(path)
    found = decode(path, max_pixels=max_pixels)
    alpha = None if found.alpha is None else _tensor(found.alpha[..., None])
    return Picture(_tensor(found.color), alpha, printable(path.name), found.sha256, found.notes)


def check_suffix(path: str | os.PathLike[str], depth: int = 8) -> None:
    """Refuse an output that no format is known for, or one that does not hold `depth` bits a channel.

    Raises:
        OutputError: naming the suffixes that work.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(f"{printable(path)}: its suffix names no known format; end it in {', '.join(FORMATS)}")
    if depth > 8 and FORMATS[suffix] not in DEEP:
        able = ", ".join(each for each, kind in FORMATS.items() if kind in DEEP)
        raise OutputError(f"{printable(path)}: {FORMATS[suffix]} holds 8 bits a channel, not {depth}; end it in {able}")


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The recipe in a file that `Picture.save` wrote. It is untrusted: only known to be a JSON object of sane size.

    Raises:
        RecipeError: none there, or one that is damaged or too large.
        PictureError: no file, or not a picture.
    """
    path = Path(path)
    text = embedded(path, KEYWORD)
    if isinstance(text, bytes):
        text = text[len(CHARSET) :].decode("ascii", "replace") if text.startswith(CHARSET) else None
    if text is None:
        raise RecipeError(f"{printable(path)}: holds no recipe; give a picture that impasto saved")
    if len(text) > _MAX_RECIPE:
        raise RecipeError(
            f"{printable(path)}: its recipe has {len(text)} characters; more than {_MAX_RECIPE} are not read"
        )
    try:
        recipe = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(recipe, ensure_ascii=False).encode()  # no half of a surrogate pair, which no terminal can print
    except (ValueError, RecursionError) as error:
        reason = printable(str(error)[:100])
        raise RecipeError(
            f"{printable(path)}: its recipe is damaged ({reason}); get another copy of the file"
        ) from error
    if not isinstance(recipe, dict):
        raise RecipeError(
            f"{printable(path)}: its recipe is a {type(recipe).__name__}, not an object; get another copy"
        )
    return recipe


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a file that `Picture.save` wrote, validated.

    Raises:
        RecipeError: none there, or one that is damaged or of another version.
        PictureError: no file, or not a picture.
    """
    return Recipe.parse(read_recipe(path), printable(path))


def _check(what: str, tensor: object, channels: int) -> None:
    right = f"{what} is a ({channels}, H, W) float32 tensor in [0, 1]"
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise PictureError(f"{right}; got {got}; convert it to float32")
    if tensor.ndim != 3 or tensor.shape[0] != channels or tensor.numel() == 0:
        raise PictureError(f"{right}; got the shape {tuple(tensor.shape)}; reshape it")
    low, high = float(tensor.detach().amin()), float(tensor.detach().amax())  # aminmax copies what lies in other order
    if not (low >= 0 and high <= 1):  # so written that NaN is refused too
        raise PictureError(f"{right}; got values from {low:g} to {high:g}; scale or clamp them")


def _tensor(samples: Array) -> Tensor:
    """(H, W, C) uint8, uint16 or float32 to (C, H, W) float32 in [0, 1], without a copy in between."""
    height, width, channels = samples.shape
    tensor = torch.empty(channels, height, width, dtype=torch.float32)
    np.copyto(tensor.numpy(), np.moveaxis(samples, 2, 0))
    return tensor if samples.dtype == np.float32 else tensor.div_(np.iinfo(samples.dtype).max)


def _recipe_text(recipe: Mapping[str, Any]) -> str:
    """JSON in ASCII, other characters as \\u escapes: the one encoding that every reader of EXIF agrees on."""
    try:
        return json.dumps(dict(recipe), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(f"the recipe is not JSON ({error}); keep to text, finite numbers, lists and dicts") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
