"""Alpha compositing."""

import torch
from torch import Tensor


def composite(background: Tensor, image: Tensor, alpha: Tensor) -> Tensor:
    """alpha * image + (1 - alpha) * background, (3, H, W) in [0, 1], in sRGB values, as browsers and Pillow do it.

    `image` is (3, H, W), not multiplied by `alpha`, (1, H, W); `background` is of any shape that broadcasts to `image`.
    """
    return torch.lerp(background.expand_as(image), image, alpha.expand_as(image)).clamp_(0, 1)


def visible_mean(image: Tensor, alpha: Tensor) -> Tensor:
    """(3,) mean color of `image` (3, H, W), weighted by `alpha` (1, H, W); of all pixels if all are transparent."""
    weight = alpha if bool(alpha.any()) else torch.ones_like(alpha)
    # in float64, since float32 sums of millions of pixels are off by 1e-3; a channel at a time to save memory
    total = torch.stack([(channel * weight[0]).sum(dtype=torch.float64) for channel in image])
    return (total / weight.sum(dtype=torch.float64)).to(image)
