"""A content image of one color has no content to preserve: the style must appear on it."""

from importlib import resources

import pytest
import torch
from torch import Tensor

from impasto import Picture, Run, Settings, load
from impasto.loss.targets import CONTENT_FLOOR, mean_squares
from impasto.vgg.model import VGG19

HEIGHT, WIDTH = 24, 32
LAYERS = ("block2_conv2", "block4_conv2")


def flat(*color: float) -> Tensor:
    return torch.tensor(color).view(3, 1, 1).expand(3, HEIGHT, WIDTH).contiguous()


def noise(amplitude: float, seed: int = 0) -> Tensor:
    return amplitude * (torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) - 0.5)


def disc() -> Tensor:
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return ((y - 12) ** 2 + (x - 16) ** 2 < 100).float()[None]


@pytest.fixture(scope="module")
def vgg() -> VGG19:
    return VGG19.load("bundled", device="cpu", precision="float32", engine="torch")


CONTENTS = {
    "gray": Picture(flat(0.5, 0.5, 0.5)),
    "pale": Picture(flat(0.9, 0.88, 0.8)),
    "almost one color": Picture(flat(0.5, 0.5, 0.5) + noise(4 / 255)),
    "with alpha": Picture(flat(0.45, 0.45, 0.45), disc()),
}


@pytest.mark.weights
@pytest.mark.parametrize("content", CONTENTS)
def test_the_style_appears_on_a_content_image_of_one_color(content: str, vgg: VGG19) -> None:
    with resources.as_file(resources.files("impasto") / "demo" / "waves.jpg") as path:
        style = load(path)
    run = Run(CONTENTS[content], [style], Settings(size=48, steps=6), vgg=vgg)
    list(run)
    assert float(run.picture.tensor.std(dim=(1, 2)).min()) > 0.05  # that of the style image is 0.2


@pytest.mark.parametrize("strip", [None, 5])
def test_mean_squares_are_those_of_the_networks_features(strip: int | None, narrow64: VGG19) -> None:
    image = torch.rand(1, 3, 40, 33, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = mean_squares(narrow64, image, LAYERS, strip=strip)
    expected = {name: float(values.square().mean()) for name, values in narrow64(image, LAYERS).items()}
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("amplitude", [0.0, 1.0])
def test_the_content_loss_is_relative_to_the_content_or_to_a_share_of_the_styles(
    amplitude: float, narrow: VGG19
) -> None:
    content = Picture((flat(0.48, 0.45, 0.4) + noise(amplitude)).clamp(0, 1))
    styles = [Picture(noise(1.0, seed).add(0.5).clamp(0, 1)) for seed in (1, 2)]
    settings = Settings(size=WIDTH, steps=1, content_layers=dict.fromkeys(LAYERS, 1.0), strength=0.5)
    run = Run(content, styles, settings, vgg=narrow)
    network = narrow.configured(pooling="max", padding="replicate")

    def square(picture: Picture, name: str) -> float:
        return float(network(picture.tensor[None], [name])[name].square().mean())

    for name, weight in run.scale_run.objective.weights.content_layers.items():
        floor = CONTENT_FLOOR * sum(square(style, name) for style in styles) / len(styles)
        assert weight == pytest.approx(1 / max(square(content, name), floor), rel=1e-4)
        assert (square(content, name) < floor) == (amplitude == 0)
