"""Nearest neighbors of a content image's features among those of the style images."""

from collections.abc import Mapping

import torch
from torch import Tensor

from impasto.loss import functional
from impasto.loss.nearest import Sample
from impasto.vgg.backward import Backprop
from impasto.vgg.model import VGG19


@torch.no_grad()
def matched_samples(
    vgg: VGG19, content: Tensor, samples: Mapping[str, Sample], *, strip: int | None = None
) -> dict[str, Sample]:
    """The samples of some layers with the neighbor of each position of the content image (1, 3, H, W).

    Means are subtracted before: that of the content image's features, weighted by the sample's guide, and that of the
    sample (Kolkin et al. 2022, arXiv 2203.13215, section 3.3). So the darkest content finds the darkest places of the
    style image, whatever the brightness of both.

    Args:
        strip: as in `Objective`.
    """
    network = Backprop(vgg, samples, strip=strip)
    totals: dict[str, Tensor | float] = dict.fromkeys(samples, 0.0)
    weights: dict[str, Tensor | float] = dict.fromkeys(samples, 0.0)
    found: dict[str, list[Tensor]] = {name: [] for name in samples}

    def add(name: str, features: Tensor, rows: slice) -> None:
        guide = samples[name].guide
        guide = features.new_ones(1, 1, *features.shape[2:]) if guide is None else guide[:, :, rows]
        totals[name] += functional.feature_sum(features, guide)[0]
        weights[name] += functional.guide_sum(guide)

    def search(name: str, features: Tensor, _: slice) -> None:
        center = torch.as_tensor(totals[name] / weights[name]).to(features.dtype)
        found[name].append(functional.nearest_indices(features, samples[name].directions, center))

    network.forward(content, add)
    network.forward(content, search)
    return {name: sample.matched(torch.cat(found[name], dim=1)) for name, sample in samples.items()}
