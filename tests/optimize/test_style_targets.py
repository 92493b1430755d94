"""`StyleTargets`: runs that share style images give the same bits as those that do not, and compute less."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import impasto
from impasto import Picture, Settings, Style, StyleTargets, load
from impasto.errors import PictureError, SettingError
from impasto.loss import style_targets
from impasto.optimize import inputs
from impasto.vgg.model import VGG19

SMALL = Settings(size=64, first_scale=32, steps=2)
CHANGES = {
    "the same again": {},
    "more steps": {"steps": 3},
    "another size": {"size": 48},
    "another stroke size": {"style_scale": 0.7},
    "rotated": {"style_rotation": 30.0},
    "other layers": {"style_layers": ["block1_conv2", "block2_conv1=0.3"]},
    "wasserstein": {"style_loss": "wasserstein"},
    "nearest": {"style_loss": "nearest", "style_layers": ["block2_conv1", "block3_conv1"]},
    "average pooling": {"pooling": "avg"},
    "zero padding": {"padding": "zeros"},
    "seamless": {"padding": "circular"},
    "bilinear": {"resampling": "tensorflow"},
    "other content layers": {"content_layers": ["block3_conv1"]},
    "colors of the content image": {"color": "content"},
    "colors of the style image": {"color": "match"},
    "another normalization": {"convention": "gatys"},
    "noise": {"init": "noise"},
}


@pytest.fixture(scope="module")
def styles(style_image: Path, content_image: Path) -> list[Style]:
    """Two style images; the second is larger than the runs, and partly transparent."""
    generator = torch.Generator().manual_seed(2)
    large = Picture(torch.rand(3, 90, 120, generator=generator), torch.rand(1, 90, 120, generator=generator))
    return [Style(load(style_image), 0.7), Style(large)]


@pytest.fixture(scope="module")
def shared(styles: list[Style], narrow: VGG19) -> StyleTargets:
    """The targets that all tests of a kind share, so that each finds what the others have left."""
    return StyleTargets(styles, vgg=narrow)


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is computed of style images: evaluations of the network, and tones."""
    found = []

    def counted(module: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **kwargs: found.append(name) or function(*args, **kwargs))

    counted(style_targets, "Backprop")
    counted(inputs, "tone")
    return found


@pytest.mark.parametrize("strips", [None, [16, 16]])
@pytest.mark.parametrize("change", CHANGES)
def test_the_result_is_that_of_a_run_without(
    change: str, strips: list[int | None] | None, styles: list[Style], shared: StyleTargets, content_image: Path
) -> None:
    settings = SMALL.replace(**CHANGES[change])
    strips = None if settings.padding == "circular" else strips  # such an image is evaluated whole
    plain, sharing = (
        impasto.Run(content_image, each, settings, vgg=shared.vgg, strips=strips, detail=content_image)
        for each in (styles, shared)
    )
    for one, other in zip(plain, sharing, strict=True):
        assert torch.equal(one.terms.stacked(), other.terms.stacked())
    assert torch.equal(plain.picture.tensor, sharing.picture.tensor)
    assert plain.spec == sharing.spec


def test_style_images_are_evaluated_once(
    styles: list[Style], narrow: VGG19, content_image: Path, style_image: Path, evaluations: list[str]
) -> None:
    kept = StyleTargets(styles, vgg=narrow)
    assert evaluations == []  # computed when they are needed
    impasto.stylize(content_image, kept, SMALL, detail=content_image)
    assert evaluations.count("Backprop") == 4  # two images at two scales
    assert evaluations.count("tone") == 2
    evaluations.clear()
    impasto.stylize(style_image, kept, SMALL, detail=style_image)
    impasto.stylize(content_image, kept, SMALL, strength=0.8, seed=3, steps=1, init="noise", color="luminance")
    impasto.texture(kept, SMALL)
    assert evaluations == []
    impasto.stylize(content_image, kept, SMALL, size=80)  # scales of 32, 64 (as before) and 80
    assert evaluations.count("Backprop") == 2


def test_the_recipe_and_the_pictures_are_those_of_a_list(
    styles: list[Style], shared: StyleTargets, content_image: Path
) -> None:
    plain = impasto.stylize(content_image, styles, SMALL, vgg=shared.vgg)
    assert impasto.stylize(content_image, shared, SMALL).recipe == plain.recipe
    assert impasto.stylize(content_image, shared, SMALL, vgg=shared.vgg).recipe == plain.recipe
    assert [*shared] == styles
    assert (len(shared), shared[1], shared[:1]) == (2, styles[1], (styles[0],))


def test_masks_apply_to_shared_targets_too(styles: list[Style], narrow: VGG19, content_image: Path) -> None:
    mask = torch.zeros(30, 40)
    mask[:, :20] = 1
    masked = [Style(styles[0].picture, mask=mask), styles[1]]
    kept = StyleTargets(masked, vgg=narrow)
    for _ in range(2):
        plain, sharing = (impasto.stylize(content_image, each, SMALL, vgg=narrow) for each in (masked, kept))
        assert torch.equal(plain.tensor, sharing.tensor)


def test_what_is_kept_takes_no_more_memory_than_allowed(
    styles: list[Style], narrow: VGG19, content_image: Path, evaluations: list[str]
) -> None:
    kept = StyleTargets(styles, vgg=narrow, memory=50_000)
    plain = impasto.stylize(content_image, styles, SMALL, vgg=narrow)
    for size in (32, 48, 64):
        result = impasto.stylize(content_image, kept, SMALL, size=size)
        assert 0 < kept.nbytes <= 50_000
    assert torch.equal(result.tensor, plain.tensor)
    largest = StyleTargets(styles, vgg=narrow)
    impasto.stylize(content_image, largest, SMALL)
    assert largest.nbytes > 50_000


def test_another_number_of_threads_is_computed_anew(
    shared: StyleTargets, content_image: Path, evaluations: list[str], one_thread: None
) -> None:
    for threads in (1, 2):
        torch.set_num_threads(threads)
        impasto.stylize(content_image, shared, SMALL)
        evaluations.clear()
        impasto.stylize(content_image, shared, SMALL)
        assert evaluations == []
    torch.set_num_threads(3)
    impasto.stylize(content_image, shared, SMALL)
    assert evaluations.count("Backprop") == 4


def test_nothing_is_kept_of_recolored_style_images(styles: list[Style], narrow: VGG19, content_image: Path) -> None:
    kept = StyleTargets(styles, vgg=narrow)
    impasto.stylize(content_image, kept, SMALL, color="content")
    assert kept.nbytes == 0


def test_another_network_and_no_style_image_are_refused(
    styles: list[Style], shared: StyleTargets, narrow_weights: Path, content_image: Path
) -> None:
    other = VGG19.load(narrow_weights, device="cpu", precision="float32")
    for call in (impasto.stylize, impasto.Run):
        with pytest.raises(SettingError, match=r"^vgg: got another network than that of the StyleTargets; leave it"):
            call(content_image, shared, SMALL, vgg=other)
    with pytest.raises(SettingError, match="styles: got none"):
        StyleTargets([], vgg=other)
    with pytest.raises(PictureError, match="styles: got an int; give a style image"):
        StyleTargets(3, vgg=other)  # type: ignore[arg-type]


def test_the_same_network_with_other_convolutions_is_not_another(shared: StyleTargets, content_image: Path) -> None:
    configured = shared.vgg.configured(pooling="avg", padding="zeros")
    plain = impasto.stylize(content_image, [*shared], SMALL, vgg=configured)
    assert torch.equal(impasto.stylize(content_image, shared, SMALL, vgg=configured).tensor, plain.tensor)
