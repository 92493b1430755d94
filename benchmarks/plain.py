"""The baseline: VGG19 on contiguous tensors in plain torch, gradients by autograd, torch's own Adam.

The loss is that of the program pastiche at its defaults, which `impasto --preset pastiche` uses, too.
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
        dtype: of the network's weights and features; Gram matrices and means are float32, or float64 if that is.
    """

    def __init__(self, content: Tensor, style: Tensor, dtype: torch.dtype = torch.float32) -> None:
        tensors = weights.load(weights.find()).tensors
        self.dtype = dtype
        self.kernels = {
            name: (kernel.to(dtype).contiguous(), bias.to(dtype)) for name, (kernel, bias) in tensors.items()
        }
        with torch.no_grad():
            self.content = _widened(self.features(content)[CONTENT_LAYER])
            features = self.features(style)
            self.style = {name: gram(features[name]) for name in STYLE_LAYERS}

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """The features of every layer up to block5_conv1, by name."""
        values = (image.flip(1) * 255 - image.new_tensor(MEAN).view(1, 3, 1, 1)).to(self.dtype)
        outputs = {}
        for name in layers.up_to_last(STYLE_LAYERS):
            if name in self.kernels:
                values = F.relu(F.conv2d(values, *self.kernels[name], padding=1))
            else:
                values = F.max_pool2d(values, 2)
            outputs[name] = values
        return outputs

    def loss(self, image: Tensor) -> Tensor:
        """The loss of an image (1, 3, H, W), a scalar."""
        features = self.features(image)
        total = 0.01 * F.mse_loss(_widened(features[CONTENT_LAYER]), self.content)
        for name, target in self.style.items():
            total = total + 10 / len(target) ** 2 * F.mse_loss(gram(features[name]), target)
        return total

    def value_and_grad(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of an image (1, 3, H, W), and the gradient with respect to it."""
        image = image.detach().requires_grad_()
        loss = self.loss(image)
        (gradient,) = torch.autograd.grad(loss, image)
        return loss.detach(), gradient

    @torch.no_grad()
    def saved_loss(self, image: Tensor) -> float:
        """The loss of an image rounded to 8 bits per channel."""
        return float(self.loss((image * 255).round() / 255))


def gram(features: Tensor) -> Tensor:
    """(1, C, H, W) -> the Gram matrix F F^T / M (C, C), M = H W, in float32 or float64."""
    flat = _widened(features[0].flatten(1))
    return flat @ flat.T / flat.shape[1]


def _widened(values: Tensor) -> Tensor:
    """bfloat16 -> float32; float32 and float64 are left as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def adam(objective: Plain, image: Tensor, steps: int) -> Iterator[tuple[float, Tensor]]:
    """Adam from `image`, clipped to [0, 1]: yields the seconds of all steps so far and the image, after every step."""
    image, seconds = image.clone().requires_grad_(), 0.0
    optimizer = torch.optim.Adam([image], lr=0.02, betas=(0.9, 0.99))
    for _ in range(steps):
        started = time.perf_counter()
        optimizer.zero_grad()
        objective.loss(image).backward()
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0, 1)
        seconds += time.perf_counter() - started
        yield seconds, image.detach()
