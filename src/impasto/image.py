"""Picture: what a file shows, as a tensor; read by `load`, written by `Picture.save`."""

import dataclasses
import io
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from impasto import files
from impasto.decode import EXIF_IFD, USER_COMMENT, decode, embedded
from impasto.errors import OutputError, PictureError, RecipeError, SaveError, SettingError, shown
from impasto.samples import Array

MAX_PIXELS = 150_000_000
KEYWORD = "impasto"
_MAX_RECIPE = 1_000_000  # characters; one that a run writes has a few thousand
_CHARSET = b"ASCII\0\0\0"  # EXIF: the first eight bytes of a user comment say how the others are encoded

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # pixels a side; JPEG could count to 65535, its library stops before


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture: `tensor` is (3, H, W) float32 in [0, 1], sRGB, RGB order; `alpha` (1, H, W) float32 in [0, 1] or None.

    `name` is the name of its file without the folder, `sha256` that of the file's bytes, `notes` what `load` had to
    decide, and `recipe` what `save` embeds so that the result can be repeated.

    Raises:
        PictureError: a tensor that is not as said.
    """

    tensor: Tensor
    alpha: Tensor | None = None
    name: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()
    recipe: Mapping[str, Any] | None = None

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

    def matted(self) -> Tensor:
        """(3, H, W) float32 in [0, 1], sRGB: without alpha, laid on the mean colour of what can be seen.

        On any other colour the outline would be a hard edge, and its colour foreign to the picture.
        """
        if self.alpha is None:
            return self.tensor
        seen = self.alpha if bool(self.alpha.any()) else torch.ones_like(self.alpha)
        total = (self.tensor * seen).sum((1, 2), keepdim=True, dtype=torch.float64)
        matte = (total / seen.sum(dtype=torch.float64)).to(self.tensor)
        return _laid_on(matte, self.tensor, self.alpha)

    def rounded(self) -> "Picture":
        """The same picture in the 256 levels that a saved file can hold, still float32 in [0, 1]."""
        alpha = None if self.alpha is None else (self.alpha * 255).round() / 255
        return dataclasses.replace(self, tensor=(self.tensor * 255).round() / 255, alpha=alpha)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True, quality: int = 95) -> None:
        """Write 8 bits a channel to `path`, in the format of its suffix, whole or not at all.

        PNG and TIFF are exact. JPEG (on white where there is alpha) and WebP lose a little, as `quality` from 1 to 100
        says; WebP at 100 is exact. The recipe is embedded: as text `impasto` in a PNG, elsewhere as EXIF user comment.

        Raises:
            OutputError: a suffix that is not known, a place that cannot be written, or too large for the format.
            SettingError: `quality` out of its range.
            RecipeError: a recipe that is not JSON.
            SaveError: the disk is full, or the folder can no longer be written.
        """
        path = Path(path)
        check_suffix(path)
        if not 1 <= quality <= 100:
            raise SettingError(f"quality is from 1 to 100; got {quality}; 95 keeps what the eye can see")
        files.check_output(path, overwrite=overwrite)
        data = _encoded(self, path, quality)
        with files.replacing(path) as file:
            file.write(data)


def load(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture in a PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF file: upright, in sRGB, at the depth of the file.

    What had to be decided (the first frame of an animation, a converted or broken profile) is told in `notes`.

    Raises:
        PictureError: no file, no picture, more than `max_pixels`, or damaged.
    """
    path = Path(path)
    found = decode(path, max_pixels=max_pixels)
    alpha = None if found.alpha is None else _tensor(found.alpha[..., None])
    return Picture(_tensor(found.colour), alpha, shown(path.name), found.sha256, found.notes)


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Refuse an output that no format is known for.

    Raises:
        OutputError: naming the suffixes that work.
    """
    if Path(path).suffix.lower() not in _FORMATS:
        raise OutputError(f"{shown(path)}: its suffix names no known format; end it in {', '.join(_FORMATS)}")


def read_recipe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The recipe in a file that `Picture.save` wrote. It is untrusted: only known to be a JSON object of sane size.

    Raises:
        RecipeError: none there, or one that is damaged or too large.
        PictureError: no file, or not a picture.
    """
    path = Path(path)
    text = embedded(path, KEYWORD)
    if isinstance(text, bytes):
        text = text[len(_CHARSET) :].decode("ascii", "replace") if text.startswith(_CHARSET) else None
    if text is None:
        raise RecipeError(f"{shown(path)}: holds no recipe; give a picture that impasto saved")
    if len(text) > _MAX_RECIPE:
        raise RecipeError(f"{shown(path)}: its recipe has {len(text)} characters; more than {_MAX_RECIPE} are not read")
    try:
        recipe = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(recipe, ensure_ascii=False).encode()  # no half of a surrogate pair, which no terminal can print
    except (ValueError, RecursionError) as error:
        reason = shown(str(error)[:100])
        raise RecipeError(f"{shown(path)}: its recipe is damaged ({reason}); get another copy of the file") from error
    if not isinstance(recipe, dict):
        raise RecipeError(f"{shown(path)}: its recipe is a {type(recipe).__name__}, not an object; get another copy")
    return recipe


def _check(what: str, tensor: object, channels: int) -> None:
    right = f"{what} is a ({channels}, H, W) float32 tensor in [0, 1]"
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
        got = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise PictureError(f"{right}; got {got}; convert it to float32")
    if tensor.ndim != 3 or tensor.shape[0] != channels or tensor.numel() == 0:
        raise PictureError(f"{right}; got the shape {tuple(tensor.shape)}; reshape it")
    low, high = (float(bound) for bound in torch.aminmax(tensor.detach()))
    if not (low >= 0 and high <= 1):  # so written that NaN is refused too
        raise PictureError(f"{right}; got values from {low:g} to {high:g}; scale or clamp them")


def _tensor(samples: Array) -> Tensor:
    """(H, W, C) uint8, uint16 or float32 to (C, H, W) float32 in [0, 1]."""
    planes = np.array(np.moveaxis(samples, 2, 0), order="C")  # a copy: what Pillow hands out is read-only
    if planes.dtype == np.uint8:
        return torch.from_numpy(planes).to(torch.float32).div_(255)
    floats = torch.from_numpy(planes.astype(np.float32))
    return floats.div_(65535) if planes.dtype == np.uint16 else floats


def _laid_on(matte: Tensor, tensor: Tensor, alpha: Tensor) -> Tensor:
    return torch.lerp(matte.expand_as(tensor), tensor, alpha.expand_as(tensor)).clamp(0, 1)


def _encoded(picture: Picture, path: Path, quality: int) -> bytes:
    """The bytes of the file at `path`: all made before any is written."""
    kind = _FORMATS[path.suffix.lower()]
    if max(picture.width, picture.height) > _LONGEST.get(kind, 2**31 - 1):
        size = f"{picture.width} x {picture.height} pixels"
        raise OutputError(
            f"{shown(path)}: {size} are too many, {kind} ends at {_LONGEST[kind]} a side; save it as .png"
        )
    recipe = None if picture.recipe is None else _recipe_text(picture.recipe)
    options = _options(kind, quality, recipe)
    if len(options.get("exif", b"")) > 65_533 and kind == "JPEG":
        raise OutputError(f"{shown(path)}: the recipe is longer than the 65533 bytes that JPEG allows; save it as .png")
    buffer = io.BytesIO()
    try:
        _image(picture, kind).save(buffer, kind, **options)
    except (OSError, ValueError) as error:
        raise SaveError(f"{shown(path)}: could not be made ({error}); nothing was saved") from error
    data = buffer.getvalue()
    return _with_comment(data, recipe) if kind == "TIFF" and recipe is not None else data


def _image(picture: Picture, kind: str) -> Image.Image:
    planes = picture.tensor.detach()
    if picture.alpha is not None:
        alpha = picture.alpha.detach()
        planes = _laid_on(torch.ones_like(planes), planes, alpha) if kind == "JPEG" else torch.cat([planes, alpha])
    levels = (planes * 255).round().to(torch.uint8).permute(1, 2, 0).cpu()
    return Image.fromarray(np.ascontiguousarray(levels.numpy()))


def _options(kind: str, quality: int, recipe: str | None) -> dict[str, Any]:
    """What Pillow is asked for; a TIFF gets its recipe later, because Pillow cannot put it into a compressed one."""
    options: dict[str, dict[str, Any]] = {
        "PNG": {},
        "JPEG": {"quality": quality, "subsampling": "4:4:4"},
        "WEBP": {"quality": quality, "lossless": quality == 100, "exact": True},
        "TIFF": {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 2}},  # each sample as its step from the last
    }
    if recipe is not None and kind == "PNG":
        options["PNG"]["pnginfo"] = PngInfo()
        options["PNG"]["pnginfo"].add_itxt(KEYWORD, recipe)
    elif recipe is not None and kind != "TIFF":
        exif = Image.Exif()
        exif.get_ifd(EXIF_IFD)[USER_COMMENT] = _CHARSET + recipe.encode("ascii")
        options[kind]["exif"] = exif.tobytes()
    return options[kind]


def _recipe_text(recipe: Mapping[str, Any]) -> str:
    """JSON in ASCII, other characters as \\u escapes: the one encoding that every reader of EXIF agrees on."""
    try:
        return json.dumps(dict(recipe), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(f"the recipe is not JSON ({error}); keep to text, finite numbers, lists and dicts") from error


def _with_comment(tiff: bytes, recipe: str) -> bytes:
    """`tiff` with an EXIF directory that holds `recipe` as user comment.

    The directory of the picture is written anew behind all else, with one entry more that points to that of EXIF, and
    the header points to it. An entry is tag, type (4 long, 7 bytes), count, and value or place.
    """
    end = "<" if tiff.startswith(b"II") else ">"
    (start,) = struct.unpack_from(end + "I", tiff, 4)
    (count,) = struct.unpack_from(end + "H", tiff, start)
    entries = [tiff[start + 2 + 12 * index :][:12] for index in range(count)]
    comment = _CHARSET + recipe.encode("ascii")
    place = len(tiff) + len(tiff) % 2
    exif = struct.pack(end + "HHHIII", 1, USER_COMMENT, 7, len(comment), place + 18, 0) + comment
    exif += b"\0" * (len(exif) % 2)
    entries.append(struct.pack(end + "HHII", EXIF_IFD, 4, 1, place))
    entries.sort(key=lambda entry: struct.unpack_from(end + "H", entry))
    directory = struct.pack(end + "H", len(entries)) + b"".join(entries) + struct.pack(end + "I", 0)
    header = tiff[:4] + struct.pack(end + "I", place + len(exif))
    return header + tiff[8:].ljust(place - 8, b"\0") + exif + directory


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
