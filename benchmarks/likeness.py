"""Does a small run tell what a large one will be? How alike their pictures are, from several scales and from one."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plan import Plan, Row, Section
from impasto import preset
from impasto.api import paint
from impasto.images.resize import resize

WAYS = {"multi-scale": {}, "single-scale": {"scale_factor": 1}}
"""What is painted with, as changes of the default settings; the second is the yardstick."""
BLOCK = 8
"""Pixels to a side of what is averaged, so that composition is compared and not strokes."""


def measure(plan: Plan) -> Section:
    """A picture of half the benchmark's size beside one of that size, one of twice that, and the photograph."""
    small, *large = plan.size // 2, plan.size, 2 * plan.size
    photograph, _ = dataclasses.replace(plan, size=small).tensors()
    rows = []
    for way in WAYS:
        preview = _painted(plan, way, small)
        rows += [_row(f"{way}, {small} : {size}", preview, _painted(plan, way, size)) for size in large]
        rows.append(_row(f"{way}, {small} : photograph", preview, photograph))
    notes = [
        f"Default settings; the larger picture shrunk to the smaller one's size; blocks of {BLOCK}x{BLOCK} pixels.",
        "The photograph is the floor: as alike is what nobody painted.",
    ]
    return Section("A small picture beside a large one", rows, notes)


def _painted(plan: Plan, way: str, size: int) -> Tensor:
    """The picture (1, 3, H, W) of a run, which is saved, too."""
    picture = paint(plan.run(preset().replace(size=size, **WAYS[way]), "auto"))
    folder = plan.out / "likeness"
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{way}-{size}.png")
    return picture.tensor[None]


def _row(name: str, small: Tensor, large: Tensor) -> Row:
    shrunk = resize(large, *small.shape[2:])
    return {
        "pictures": name,
        "correlation": _correlation(small, shrunk),
        "correlation of blocks": _correlation(F.avg_pool2d(small, BLOCK), F.avg_pool2d(shrunk, BLOCK)),
        "RMS difference, levels of 255": 255 * float((small - shrunk).square().mean().sqrt()),
    }


def _correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's, over all pixels and channels."""
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]).double())[0, 1])
