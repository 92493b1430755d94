"""Arguments of a wrong type, in every function that takes them: one line, with what was passed and what to do."""

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto import ImpastoError, Picture, Run, Settings, Style, load
from impasto.errors import LogError, OutputError, PictureError, SettingError, UsageError, WeightsError
from impasto.vgg.model import VGG19

SMALL = Settings(size=32, steps=1)
ADVICE = "; give the path of an image file, its bytes, a PIL image, an array, a tensor or a Picture"
IN_MEMORY = {
    "a PIL image": lambda: Image.new("RGB", (40, 30), "gray"),
    "a NumPy array": lambda: np.full((30, 40, 3), 128, np.uint8),
    "a tensor": lambda: torch.full((1, 3, 30, 40), 128 / 255),
    "a file object": lambda: io.BytesIO(PNG),
    "bytes": lambda: PNG,
    "a Picture": lambda: load(PNG),
}
PNG = (encoded := io.BytesIO(), Image.new("RGB", (40, 30), "gray").save(encoded, "PNG"))[0].getvalue()


@pytest.fixture
def calls(content_image: Path, narrow: VGG19, tmp_path: Path) -> dict[str, Callable[[object], object]]:
    """Every place where an image is passed: the name in the message -> the call."""
    image, given = load(content_image), {"settings": SMALL, "vgg": narrow}
    return {
        "stylize content": lambda it: impasto.stylize(it, image, **given),
        "stylize styles": lambda it: impasto.stylize(image, it, **given),
        "stylize style 2": lambda it: impasto.stylize(image, [image, it], **given),
        "stylize init": lambda it: impasto.stylize(image, image, init=it, **given),
        "stylize keep": lambda it: impasto.stylize(image, image, keep=it, **given),
        "stylize detail": lambda it: impasto.stylize(image, image, detail=it, **given),
        "texture styles": lambda it: impasto.texture(it, **given),
        "texture init": lambda it: impasto.texture(image, init=it, **given),
        "reconstruct content": lambda it: impasto.reconstruct(it, **given),
        "recolor image": lambda it: impasto.recolor(it, image),
        "recolor content": lambda it: impasto.recolor(image, it),
        "fast content": lambda it: impasto.fast(it, image),
        "fast styles": lambda it: impasto.fast(image, it),
        "network_for styles": impasto.network_for,
        "distill style": lambda it: impasto.distill(it, [image], **given),
        "distill images": lambda it: impasto.distill(image, it, **given),
        "distill image 1": lambda it: impasto.distill(image, [it], **given),
        "sweep content": lambda it: impasto.sweep(it, image, {"seed": [1]}, tmp_path / "s", **given),
        "sweep styles": lambda it: impasto.sweep(image, it, {"seed": [1]}, tmp_path / "s", **given),
        "Style style": Style,
        "Style mask": lambda it: Style(image, mask=it),
        "Run content": lambda it: Run(it, [image], SMALL, vgg=narrow),
        "Run style 1": lambda it: Run(image, [it], SMALL, vgg=narrow),
        "Run keep": lambda it: Run(image, [image], SMALL, keep=it, vgg=narrow),
        "Run detail": lambda it: Run(image, [image], SMALL, detail=it, vgg=narrow),
        "compare images": impasto.compare,
        "compare image 2": lambda it: impasto.compare([image, it]),
        "rerun result": impasto.rerun,
        "load image": load,
        "load_recipe image": impasto.load_recipe,
    }


@contextlib.contextmanager
def refused(error: type[ImpastoError], begin: str, end: str = "") -> Iterator[None]:
    with pytest.raises(error) as caught:
        yield
    assert str(caught.value).startswith(begin)
    assert end in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", [3, {"a.png": 1}, object()], ids=["int", "dict", "object"])
def test_what_is_no_image_is_refused_with_advice(
    value: object, calls: dict[str, Callable[[object], object]], tmp_path: Path
) -> None:
    for name, call in calls.items():
        with refused(PictureError, f"{name.partition(' ')[2]}: got a", "; give "):
            call(value)
    with refused(PictureError, f"content: got an int{ADVICE}"):
        calls["stylize content"](3)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_an_image_in_memory_is_accepted_wherever_an_image_is(
    kind: str, calls: dict[str, Callable[[object], object]]
) -> None:
    """Magenta's network, many images and files have tests of their own."""
    others = ("fast", "network_for", "sweep", "distill", "rerun", "load", "compare images", "stylize style 2")
    for name, call in calls.items():
        if not name.startswith(others):
            assert call(IN_MEMORY[kind]()) is not None, name


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_the_image_in_memory_is_the_one_that_is_used(kind: str, content_image: Path, narrow: VGG19) -> None:
    style, gray = load(content_image), IN_MEMORY[kind]
    expected = impasto.stylize(load(PNG), [style, load(PNG)], SMALL, vgg=narrow, keep=load(PNG))
    result = impasto.stylize(gray(), [style, gray()], SMALL, vgg=narrow, keep=gray())
    assert torch.equal(result.tensor, expected.tensor)


@pytest.mark.parametrize("kind", ["a PIL image", "a NumPy array", "a tensor", "a file object", "bytes"])
def test_a_result_that_is_rerun_is_a_file(kind: str) -> None:
    with refused(PictureError, f"result: got {kind}; give the path of an image file"):
        impasto.rerun(IN_MEMORY[kind]())  # type: ignore[arg-type]


@pytest.mark.parametrize("styles", [None, {"a.png": 1}, {"a.png"}, (name for name in ["a.png"]), map(str, "ab")])
@pytest.mark.parametrize("name", ["stylize styles", "texture styles", "fast styles", "sweep styles"])
def test_styles_are_one_or_a_list(
    name: str, styles: object, calls: dict[str, Callable[[object], object]], tmp_path: Path
) -> None:
    with refused(PictureError, "styles: got ", "; give a style image, or a list of them"):
        calls[name](styles)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["stylize styles", "texture styles", "fast styles", "sweep styles"])
def test_no_style_image_is_refused(name: str, calls: dict[str, Callable[[object], object]], tmp_path: Path) -> None:
    with refused(SettingError, "styles: got none; give a style image"):
        calls[name]([])
    assert [*tmp_path.iterdir()] == []


def test_a_missing_content_image_is_no_texture(content_image: Path, narrow: VGG19) -> None:
    with refused(PictureError, f"content: got None{ADVICE}"):
        impasto.stylize(None, content_image, SMALL, vgg=narrow)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"size": 32},
            "settings: got a dict; give impasto.Settings(...), the name of a preset, or None for the defaults",
        ),
        ("kears", "unknown preset 'kears'; available: painterly, "),
        ("", "unknown preset ''; available: painterly, "),
        (3, "settings: got an int; give impasto.Settings(...)"),
    ],
)
def test_settings_are_settings(settings: object, message: str, content_image: Path, narrow: VGG19) -> None:
    image = load(content_image)
    calls: list[Callable[..., object]] = [
        lambda: impasto.stylize(image, image, settings, vgg=narrow),
        lambda: impasto.texture(image, settings, vgg=narrow),
        lambda: impasto.reconstruct(image, settings=settings, vgg=narrow),
        lambda: impasto.distill(image, [image], settings, vgg=narrow),
        lambda: impasto.sweep(image, image, {"seed": [1]}, "s", settings, vgg=narrow),
        lambda: Run(image, [image], settings, vgg=narrow),
    ]
    for call in calls:
        with refused(SettingError, message):
            call()


def test_networks_and_receivers_of_events_are_checked(content_image: Path, narrow: VGG19, tmp_path: Path) -> None:
    image, folder = load(content_image), tmp_path / "s"
    for network in ("auto", Path("vgg19.h5"), 3):
        for call in (
            lambda vgg: impasto.stylize(image, image, SMALL, vgg=vgg),
            lambda vgg: impasto.texture(image, SMALL, vgg=vgg),
            lambda vgg: impasto.distill(image, [image], SMALL, vgg=vgg),
            lambda vgg: impasto.sweep(image, image, {"seed": [1]}, folder, SMALL, vgg=vgg),
            lambda vgg: Run(image, [image], SMALL, vgg=vgg),
        ):
            with refused(SettingError, "vgg: got a", "; give impasto.VGG19.load(...)"):
                call(network)
    for on_event in ("print", 3):
        for call in (
            lambda it: impasto.stylize(image, image, SMALL, vgg=narrow, on_event=it),
            lambda it: impasto.fast(image, image, on_event=it),
            lambda it: impasto.distill(image, [image], SMALL, vgg=narrow, on_event=it),
            lambda it: impasto.sweep(image, image, {"seed": [1]}, folder, SMALL, vgg=narrow, on_event=it),
        ):
            with refused(SettingError, "on_event: got a", "; give a function that takes an event"):
                call(on_event)
    for cancel in ("yes", True):
        for call in (
            lambda it: impasto.stylize(image, image, SMALL, vgg=narrow, cancel=it),
            lambda it: impasto.texture(image, SMALL, vgg=narrow, cancel=it),
            lambda it: impasto.reconstruct(image, settings=SMALL, vgg=narrow, cancel=it),
        ):
            with refused(SettingError, "cancel: got a", "; give a function that returns whether to stop, or a thr"):
                call(cancel)
    with refused(SettingError, "network: got a VGG19; give impasto.network_for(styles)"):
        impasto.fast(image, image, network=narrow)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [b"name", None, 3])
def test_paths_are_text(path: object, content_image: Path, narrow: VGG19) -> None:
    image = load(content_image)
    grid = {"seed": [1]}
    errors: list[tuple[type[UsageError], Callable[[], object]]] = [
        (OutputError, lambda: image.save(path)),
        (OutputError, lambda: impasto.sweep(image, image, grid, path, SMALL, vgg=narrow)),
        (SettingError, lambda: impasto.preset(path)),
        (WeightsError, lambda: VGG19.load(path)),
    ]
    for error, call in errors:
        with pytest.raises(error, match=r": got (bytes|None|an int); give a path as text, or a pathlib.Path"):
            call()


@pytest.mark.parametrize("paths", [b"name", None, 3, {"a.png": 1}, [None], [b"name"]])
def test_lists_of_paths_hold_paths(paths: object, content_image: Path) -> None:
    with refused(LogError, "logs: got ", "; give a path as text, or a "):
        impasto.plot(paths)  # type: ignore[arg-type]
    with refused(PictureError, "inputs: got ", "; give a path as text, or a "):
        impasto.rerun(content_image, paths)  # type: ignore[arg-type]
    with refused(SettingError, "overrides: got a dict; give impasto.Overrides(device=...)"):
        impasto.rerun(content_image, overrides={"device": "cpu"})  # type: ignore[arg-type]
    with refused(PictureError, "images: got a str; give a list of images"):
        impasto.compare(str(content_image))  # type: ignore[arg-type]


@pytest.mark.parametrize("grid", [["seed"], "seed=1,2", None])
def test_a_grid_is_a_dict(grid: object, content_image: Path, tmp_path: Path) -> None:
    with refused(SettingError, "grid: got ", "; give a dict of settings and their values"):
        impasto.sweep(content_image, content_image, grid, tmp_path / "s")  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", ["1", None, [1]])
def test_a_weight_is_a_number(weight: object) -> None:
    with refused(SettingError, "style: got ", "as its weight; give a number above 0"):
        Style(Picture(torch.zeros(3, 2, 2)), weight)  # type: ignore[arg-type]
    assert Style(Picture(torch.zeros(3, 2, 2)), np.float32(2)).weight == 2  # type: ignore[arg-type]
