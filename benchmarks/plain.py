"""The usual way, to compare with: VGG19 as contiguous tensors in plain torch, gradients by autograd, torch's own Adam.

The loss is the one of the program pastiche at its defaults, which `impasto --preset pastiche` has, too.
"""

import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.settings import layers
from impasto.vgg import weights

MEAN = (103.939, 116.779, 123.68)
"""Mean blue, green and red of ImageNet in 0..255."""
CONTENT_LAYER = "block4_conv2"
STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))


class Plain:
    """The loss 0.01 mean (F - P)^2 in block4_conv2, plus 10/C^2 mean (G - A)^2 in block1_conv1 to block5_conv1.

    Args:
        content, style: (1, 3, H, W) RGB in [0, 1].
        dtype: of the network's weights and responses; Gram matrices and means are float32.
    """

    def __init__(self, content: Tensor, style: Tensor, dtype: torch.dtype = torch.float32) -> None:
        tensors = weights.load(weights.find()).tensors
        self.dtype = dtype
        self.kernels = {
            name: (kernel.to(dtype).contiguous(), bias.to(dtype)) for name, (kernel, bias) in tensors.items()
        }
        with torch.no_grad():
            self.content = self.responses(content)[CONTENT_LAYER].float()
            responses = self.responses(style)
            self.style = {name: gram(responses[name]) for name in STYLE_LAYERS}

    def responses(self, picture: Tensor) -> dict[str, Tensor]:
        """The responses of every layer as far as block5_conv1."""
        values = (picture.flip(1) * 255 - picture.new_tensor(MEAN).view(1, 3, 1, 1)).to(self.dtype)
        found = {}
        for name in layers.up_to_last(STYLE_LAYERS):
            if name in self.kernels:
                values = F.relu(F.conv2d(values, *self.kernels[name], padding=1))
            else:
                values = F.max_pool2d(values, 2)
            found[name] = values
        return found

    def loss(self, picture: Tensor) -> Tensor:
        """The loss of a picture (1, 3, H, W), a scalar."""
        responses = self.responses(picture)
        total = 0.01 * F.mse_loss(responses[CONTENT_LAYER].float(), self.content)
        for name, target in self.style.items():
            total = total + 10 / len(target) ** 2 * F.mse_loss(gram(responses[name]), target)
        return total

    def value_and_grad(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a picture, and its gradient at the picture."""
        picture = picture.detach().requires_grad_()
        loss = self.loss(picture)
        (gradient,) = torch.autograd.grad(loss, picture)
        return loss.detach(), gradient

    @torch.no_grad()
    def saved_loss(self, picture: Tensor) -> float:
        """The loss of a picture as a file of eight bits a channel holds it."""
        return float(self.loss((picture * 255).round() / 255))


def gram(features: Tensor) -> Tensor:
    """(1, C, H, W) -> the Gram matrix F F^T / M (C, C) in float32."""
    flat = features[0].flatten(1).float()
    return flat @ flat.T / flat.shape[1]


def adam(objective: Plain, picture: Tensor, steps: int) -> Iterator[tuple[float, Tensor]]:
    """Adam from `picture`, clipped to [0, 1]: the seconds of all steps so far, and the picture, after every step."""
    picture, seconds = picture.clone().requires_grad_(), 0.0
    optimizer = torch.optim.Adam([picture], lr=0.02, betas=(0.9, 0.99))
    for _ in range(steps):
        began = time.perf_counter()
        optimizer.zero_grad()
        objective.loss(picture).backward()
        optimizer.step()
        with torch.no_grad():
            picture.clamp_(0, 1)
        seconds += time.perf_counter() - began
        yield seconds, picture.detach()
