"""Does a small run predict a large one? The similarity of their results, with multiple scales and with one."""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plan import Plan, Row, Section
from impasto import preset
from impasto.api import complete
from impasto.images.resize import resize

VARIANTS = {"multi-scale": {}, "single-scale": {"scale_factor": 1}}
"""Changes to the default settings; the second is the baseline."""
BLOCK = 8
"""Edge in pixels of the averaged blocks: composition is compared, not strokes."""


def measure(plan: Plan) -> Section:
    """Compare a result of half the benchmark's size with one of that size, one of twice that, and the content image."""
    small, *large = plan.size // 2, plan.size, 2 * plan.size
    content, _ = dataclasses.replace(plan, size=small).tensors()
    rows = []
    for variant in VARIANTS:
        preview = _result(plan, variant, small)
        rows += [_row(f"{variant}, {small} : {size}", preview, _result(plan, variant, size)) for size in large]
        rows.append(_row(f"{variant}, {small} : content image", preview, content))
    notes = [
        f"Default settings; the larger image resized to the smaller one's size; blocks of {BLOCK}x{BLOCK} pixels.",
        "The content image is the lower bound: the similarity of a result to an image that was not stylized.",
    ]
    return Section("Similarity of small and large results", rows, notes)


def _result(plan: Plan, variant: str, size: int) -> Tensor:
    """Run impasto, save the result, and return it as (1, 3, H, W)."""
    picture = complete(plan.run(preset().replace(size=size, **VARIANTS[variant]), "auto"))
    folder = plan.out / "similarity"
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{variant}-{size}.png")
    return picture.tensor[None]


def _row(name: str, small: Tensor, large: Tensor) -> Row:
    shrunk = resize(large, *small.shape[2:])
    return {
        "images": name,
        "correlation": _correlation(small, shrunk),
        "correlation of blocks": _correlation(F.avg_pool2d(small, BLOCK), F.avg_pool2d(shrunk, BLOCK)),
        "RMS difference, levels of 255": 255 * float((small - shrunk).square().mean().sqrt()),
    }


def _correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's correlation over all pixels and channels."""
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]).double())[0, 1])
