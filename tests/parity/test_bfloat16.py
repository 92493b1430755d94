"""bfloat16 against float32, with the trained network: nearly the same gradient, and as low a loss of the result.

The images are tiny: without hardware for bfloat16, its convolutions are emulated a hundred times slower.
"""

from importlib import resources

import pytest
import torch

from impasto import VGG19, Picture, Run, load, preset

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def networks() -> dict[str, VGG19]:
    return {
        name: VGG19.load("bundled", device="cpu", precision=name, engine="torch") for name in ("float32", "bfloat16")
    }


def grid(size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(*(torch.linspace(0, 1, size) for _ in range(2)), indexing="ij")
    return y, x


def disc() -> Picture:
    y, x = grid()
    inside = ((x - 0.6).square() + (y - 0.4).square() < 0.06).float()
    return Picture(torch.stack([0.2 + 0.6 * x * inside, 0.8 - 0.5 * y, 0.3 + 0.4 * inside]))


def house() -> Picture:
    y, x = grid()
    wall = ((x > 0.25) & (x < 0.75) & (y > 0.45)).float()
    roof = ((y < 0.45) & (y > 0.2) & ((x - 0.5).abs() < (y - 0.2))).float()
    return Picture(torch.stack([0.5 + 0.4 * wall, 0.6 - 0.4 * roof, 0.9 - 0.6 * wall - 0.5 * roof]).clamp(0, 1))


def waves() -> Picture:
    y, x = grid()
    phase = 40 * y + 6 * torch.sin(9 * x)
    return Picture(
        torch.stack([0.5 + 0.5 * torch.sin(phase), 0.4 + 0.3 * torch.cos(phase), 0.6 + 0.2 * torch.sin(31 * x)])
    )


def tiles() -> Picture:
    y, x = grid()
    odd = ((6 * x).floor() + (6 * y).floor()) % 2
    line = (((6 * x) % 1 < 0.12) | ((6 * y) % 1 < 0.12)).float()
    return Picture(torch.stack([0.9 * odd, 0.2 + 0.3 * (1 - odd), 0.7 * (1 - odd)]) * (1 - line))


def strokes() -> Picture:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 8, 24, generator=generator)
    return Picture(torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear")[0])


def test_the_gradients_of_real_images_point_the_same_way(networks: dict[str, VGG19]) -> None:
    demo = resources.files("impasto") / "demo"
    gradients = []
    for vgg in networks.values():
        with resources.as_file(demo) as folder:
            content, style = load(folder / "portrait.jpg"), load(folder / "swirls.jpg")
        run = Run(content, [style], preset("pastiche").replace(size=64), vgg=vgg)
        noise = torch.rand(run.initial_image.shape, generator=torch.Generator().manual_seed(0)) - 0.5
        gradients.append(
            run.scale_run.objective.value_and_grad((run.initial_image + 0.1 * noise).clamp(0, 1))[1].flatten()
        )
    assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.995


@pytest.mark.parametrize(("content", "style"), [(disc, waves), (house, tiles), (disc, strokes)])
def test_the_loss_of_the_saved_image_is_as_low(content, style, networks: dict[str, VGG19]) -> None:
    losses = []
    for vgg in networks.values():
        run = Run(content(), [style()], preset().replace(size=32, steps=20), vgg=vgg)
        for _ in run:
            pass
        judge = Run(content(), [style()], run.settings, vgg=networks["float32"])
        losses.append(float(judge.evaluate(run.picture.rounded()).total))
    assert losses[1] == pytest.approx(losses[0], rel=0.03)
