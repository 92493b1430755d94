"""`python -m impasto.web.image_process`: decodes what clients upload, and makes thumbnails, tiles and masks.

It is a process of its own, with a memory limit: a damaged or malicious file cannot harm the server, which stays small,
since it loads neither torch nor Pillow. JSON Lines: in {"do": NAME, ...arguments}; out {"result": ...} or
{"error": MESSAGE, "kind": CLASS}. The first argument is the memory limit in bytes.
"""

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from impasto import files
from impasto.errors import ImpastoError, RecipeError, is_out_of_memory
from impasto.images.bands import Array
from impasto.images.faces import weights as yunet
from impasto.images.faces.detector import detect
from impasto.images.faces.mask import WHOLE_FACE, face_mask
from impasto.images.loading import load, load_recipe
from impasto.images.picture import Picture
from impasto.images.thumbnail import fit_within, thumbnail, to_uint8
from impasto.memory import BASE_BYTES
from impasto.optimize.run import Run
from impasto.settings.model import Settings
from impasto.vgg.model import VGG19
from impasto.web.pyramid import TILE

NICE = 5
"""The scheduling priority is lowered by this: the run goes first."""


def inspect(path: str, name: str) -> dict[str, Any]:
    """Size, alpha channel, recipe and notes of an image, which is decoded completely."""
    picture = _read(path, name)
    recipe = None
    with contextlib.suppress(RecipeError):
        recipe = load_recipe(path).model_dump(mode="json")
    return {
        "width": picture.width,
        "height": picture.height,
        "has_alpha": picture.alpha is not None,
        "recipe": recipe,
        "notes": list(picture.notes),
    }


def save_thumbnail(path: str, target: str, edge: int) -> None:
    """A JPEG with a long edge of at most `edge` pixels."""
    picture = _read(path)
    image = thumbnail(picture, *fit_within(picture.width, picture.height, edge))
    with files.replacing(Path(target)) as file:
        image.save(file, "JPEG", quality=85)


def save_tile(path: str, target: str, level: int, column: int, row: int) -> None:
    """A tile of a level of the pyramid as PNG; on level 0 each pixel is one of the image."""
    tile = _levels(path, level)[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
    with files.replacing(Path(target)) as file:
        Image.fromarray(np.ascontiguousarray(tile)).save(file, "PNG", compress_level=1)


def save_mask(path: str, target: str, kind: str) -> bool:
    """The alpha channel of an image, or its faces, as 8-bit gray PNG; returns whether there is one."""
    picture = _read(path)
    if kind == "alpha":
        mask = picture.alpha
    else:
        faces = detect(picture.composited()[None]) if yunet.is_installed() else ()
        mask = face_mask(faces, picture.height, picture.width, margin=WHOLE_FACE)[0, 0] if faces else None
    if mask is None:
        return False
    values = (mask.reshape(picture.height, picture.width) * 255).round().to(torch.uint8).numpy()
    with files.replacing(Path(target)) as file:
        Image.fromarray(values).save(file, "PNG", compress_level=1)
    return True


def convert(path: str, target: str) -> None:
    """An image with 8 bits per channel in the format of the suffix of `target`, with its recipe if it has one."""
    picture = _read(path)
    with contextlib.suppress(RecipeError):
        picture = replace(picture, recipe=load_recipe(path).model_dump(mode="json"))
    picture.save(target, depth=8)


def estimate(settings: dict[str, Any], width: int, height: int, styles: int, memory: int | None) -> dict[str, Any]:
    """Peak memory in bytes, seconds, and the scales of a run; the time is extrapolated from a trial step.

    Args:
        width, height: of the content image, in pixels.
        styles: the number of style images.
    """
    content = Picture(torch.rand(3, *_small(height, width)))
    style = [Picture(torch.rand(3, 128, 128)) for _ in range(styles)]
    run = Run(
        content, style, Settings(**{**settings, "faces": "off", "init": "content"}), vgg=_network(), memory=memory
    )
    pace = _pace()
    return {
        "memory": max(plan.memory for plan in run.plan),
        "seconds": sum(plan.seconds(pace) for plan in run.plan),
        "scales": [{"width": plan.size[1], "height": plan.size[0], "steps": plan.scale.steps} for plan in run.plan],
    }


def _small(height: int, width: int) -> tuple[int, int]:
    """A size of that aspect ratio; the estimate needs no pixels."""
    factor = max(128 / max(height, width), 32 / min(height, width))
    return round(height * factor), round(width * factor)


@functools.cache
def _network() -> VGG19:
    return VGG19.load(engine="torch")


@functools.cache
def _pace() -> float:
    """Seconds per multiply-add on all cores, at the size of the usual last scale."""
    picture = Picture(torch.rand(3, 96, 128))
    return Run(picture, [picture], Settings(size=512, faces="off"), vgg=_network()).measure_pace()


@functools.lru_cache(1)
def _decoded(path: str, _modified: int, name: str) -> Picture:
    return load(path, name=name, memory=_memory_limit())


def _read(path: str, name: str = "") -> Picture:
    """The image in a file; the last one is kept."""
    return _decoded(path, os.stat(path).st_mtime_ns, name)


@functools.lru_cache(16)
def _level(path: str, modified: int, level: int) -> Array:
    if level == 0:
        return to_uint8(_read(path))
    finer = _level(path, modified, level - 1)
    height, width = (-(-size // 2) for size in finer.shape[:2])
    return np.asarray(Image.fromarray(finer).resize((width, height), Image.Resampling.BOX))


def _levels(path: str, level: int) -> Array:
    """A level of the pyramid, (H, W, 3) uint8; those of the last image are kept."""
    modified = os.stat(path).st_mtime_ns
    if (path, modified) != _state.get("pyramid"):
        _level.cache_clear()
        _state["pyramid"] = path, modified
    return _level(path, modified, level)


_state: dict[str, Any] = {}
_COMMANDS: dict[str, Callable[..., Any]] = {
    "inspect": inspect,
    "thumbnail": save_thumbnail,
    "tile": save_tile,
    "mask": save_mask,
    "convert": convert,
    "estimate": estimate,
}


def _memory_limit() -> int:
    """The limit as `load` takes it: of the whole process."""
    return int(sys.argv[1]) + BASE_BYTES


def limit_memory(extra: int) -> None:
    """Let the process allocate no more than `extra` bytes besides what it has now, where the system can do so."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = psutil.Process().memory_info().vms + extra
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Answer the requests on standard input."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    limit_memory(int(sys.argv[1]))
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what any package prints must not get between the answers
    for line in sys.stdin.buffer:
        output.write(json.dumps(_answer(json.loads(line))).encode() + b"\n")
        output.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    path, name = str(request.get("path", "")), request.get("name") or "the image"
    try:
        return {"result": _COMMANDS[request.pop("do")](**request)}
    except ImpastoError as error:
        # clients know the image by its name
        return {"error": str(error).replace(path, name) if path else str(error), "kind": type(error).__name__}
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return {"error": "not enough memory for an image of this size; give a smaller one", "kind": "MemoryError"}


if __name__ == "__main__":
    main()
