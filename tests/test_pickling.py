"""What a worker process returns can be pickled, and is the same afterwards."""

import dataclasses
import pickle
import typing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

import impasto
from impasto import Picture, Run, Settings, Style, errors, events
from impasto.errors import ImpastoError, SettingError, prefix_errors
from impasto.images.quantize import Quantization
from impasto.vgg.model import VGG19

SMALL = Settings(size=32, steps=2)


def again(value):
    return pickle.loads(pickle.dumps(value))


def subclasses(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_pictures(content_image: Path, style_image: Path, narrow: VGG19) -> None:
    made = impasto.stylize(content_image, style_image, SMALL, vgg=narrow)
    with_alpha = Picture(torch.rand(3, 4, 5), torch.rand(1, 4, 5), "a", notes=("b",), rounding=Quantization(16))
    loaded = impasto.load(content_image)
    for picture in (made, with_alpha, loaded, Picture(torch.rand(3, 4, 5), recipe={"a": 1})):
        copy = again(picture)
        assert torch.equal(copy.tensor, picture.tensor)
        assert copy.content_hash == picture.content_hash
        others = [field.name for field in dataclasses.fields(picture) if field.name not in ("tensor", "alpha")]
        assert [getattr(copy, name) for name in others] == [getattr(picture, name) for name in others]
    style = again(Style(loaded, 0.5, mask=torch.rand(8, 9)))
    assert (style.weight, style.picture.sha256, style.mask.width) == (0.5, loaded.sha256, 9)


def test_a_picture_takes_no_more_bytes_than_its_pixels() -> None:
    large = torch.rand(3, 200, 300)
    assert len(pickle.dumps(Picture(large))) < large.nbytes + 2000


def test_settings_recipes_and_presets(content_image: Path, style_image: Path, narrow: VGG19) -> None:
    made = impasto.stylize(content_image, style_image, SMALL, vgg=narrow)
    for value in (SMALL, impasto.preset("quick"), impasto.load_recipe(made), *impasto.presets(), impasto.Overrides()):
        assert again(value) == value


def test_events_of_every_kind() -> None:
    values = {"scales": [{"width": 1}], "layers": {"style": {"block1_conv1": 0.1}}, "complete": True}
    kinds = [*subclasses(events.Event)]
    assert len(kinds) >= 7
    for kind in kinds:
        hints = typing.get_type_hints(kind)
        event = kind(
            **{name: values.get(name, hint() if isinstance(hint, type) else None) for name, hint in hints.items()}
        )
        assert again(event) == event


def test_errors_of_every_kind() -> None:
    kinds = [ImpastoError, *subclasses(ImpastoError)]
    assert {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ImpastoError)} <= {
        *kinds
    }
    for kind in kinds:
        copy = again(kind("x.png: what, got, do"))
        assert (type(copy), str(copy)) == (kind, "x.png: what, got, do")
    with pytest.raises(SettingError) as caught, prefix_errors("preset a"):
        Settings(size=3)
    assert str(again(caught.value)) == str(caught.value)


def test_a_step_leaves_its_run_behind(content_image: Path, style_image: Path, narrow: VGG19) -> None:
    (step, _) = Run(content_image, [style_image], SMALL, vgg=narrow)
    data = pickle.dumps(step)
    assert len(data) < 10_000
    copy = pickle.loads(data)
    assert (copy.number, copy.scale, copy.seconds, copy.notes) == (step.number, step.scale, step.seconds, step.notes)
    assert copy.terms.to_floats() == step.terms.to_floats()
    assert copy.terms.layers_to_floats() == step.terms.layers_to_floats()
    assert copy == dataclasses.replace(step, run=None, terms=copy.terms)
    with pytest.raises(SettingError, match="preview: got a step without its run"):
        copy.preview()
    assert step.preview().width == 32


def in_worker(content: Path, style: Path, vgg: VGG19) -> tuple[Picture, list[events.Event], bytes]:
    """What a worker does: a run with its events, and the state of another one."""
    seen: list[events.Event] = []
    picture = impasto.stylize(content, style, SMALL, vgg=vgg, on_event=seen.append)
    run = Run(content, [style], SMALL, vgg=vgg)
    next(iter(run))
    return picture, seen, run.to_bytes()


def test_the_results_of_a_worker_process(
    content_image: Path, style_image: Path, narrow: VGG19, one_thread: None
) -> None:
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        picture, seen, data = pool.submit(in_worker, content_image, style_image, narrow).result()
    here, _, _ = in_worker(content_image, style_image, narrow)
    assert torch.equal(picture.tensor, here.tensor)
    assert picture.recipe == here.recipe
    assert [type(event).__name__ for event in seen] == ["Began", "Planned", "Stepped", "Stepped", "Ended"]
    run = Run.from_bytes(data, content_image, [style_image], vgg=narrow)
    assert run.steps_done == 1
    list(run)
    assert torch.equal(run.picture.tensor, here.tensor)
