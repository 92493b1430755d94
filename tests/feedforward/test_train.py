"""A network fitted to one painting: its steps, its file, what it learns on."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from impasto import load
from impasto.errors import CheckpointError, DivergedError, PictureError, WeightsError
from impasto.feedforward import train
from impasto.feedforward.network import SingleStyleTransformer
from impasto.feedforward.scenes import scene
from impasto.feedforward.style_file import DistilledStyle, load_style_file
from impasto.feedforward.train import CROP, Training
from impasto.images.picture import Picture
from impasto.loss.conventions import loss_weights
from impasto.loss.objective import Objective
from impasto.loss.targets import Targets, content_targets
from impasto.settings.presets import preset

pytestmark = pytest.mark.weights


@pytest.fixture
def start(narrow, style_image):
    """A distiller of so many steps, on two scenes."""

    def begin(steps=4, pictures=(0, 1), **changes):
        shown = [Picture(scene(number), name=f"scene {number}") for number in pictures]
        return Training(load(style_image), shown, preset().replace(steps=steps, **changes), narrow)

    return begin


def tensors(distiller):
    return distiller.network.state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_gone_on_from_a_state_is_the_same_to_the_bit(start, tmp_path):
    whole, first, second = start(), start(), start()
    for _ in whole:
        pass
    for step in first:
        if step.number == 1:
            break
    train.save_state(first, tmp_path / "state")
    train.resume(second, tmp_path / "state")
    assert [step.number for step in second] == [2, 3]
    assert same(tensors(whole), tensors(second))


def test_a_state_of_another_setting_or_other_pictures_is_refused(start, tmp_path):
    train.save_state(start(), tmp_path / "state")
    for other in (start(style_weight=2), start(pictures=(0, 2)), start(steps=5)):
        with pytest.raises(CheckpointError, match="is of another"):
            train.resume(other, tmp_path / "state")


def test_a_damaged_state_is_refused(start, tmp_path):
    path = tmp_path / "state"
    train.save_state(start(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be gone on from"):
        train.resume(start(), path)


def test_the_loss_falls(start):
    distiller = start(steps=12, pictures=(0,))
    losses = [float(step.terms.total) for step in distiller]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_the_gradient_is_that_of_the_loss(start):
    """Against the difference that a small change of one weight makes."""
    distiller = start()
    network, crop = distiller.network, distiller.crop(0)
    content = content_targets(distiller.vgg, crop, distiller.settings.content_layers)
    targets = Targets(content, [distiller._manner])
    objective = Objective(distiller.vgg, targets, loss_weights(distiller.settings, targets))
    painted = network(crop)
    _, gradient = objective.value_and_grad(painted.detach())
    painted.backward(gradient)
    weight = network.shift[-1]
    found, epsilon = float(weight.grad[1]), 1e-2

    def loss(change):
        with torch.no_grad():
            weight[1] += change
            total = float(objective(network(crop)).total)
            weight[1] -= change
        return total

    assert found == pytest.approx((loss(epsilon) - loss(-epsilon)) / (2 * epsilon), rel=0.02)


def test_a_crop_is_always_the_same_and_never_the_next_one(start):
    distiller = start()
    assert distiller.crop(3).shape == (1, 3, CROP, CROP)
    assert torch.equal(distiller.crop(3), start().crop(3))
    assert not torch.equal(distiller.crop(3), distiller.crop(4))
    assert not torch.equal(distiller.crop(3), start(seed=1).crop(3))


def test_a_loss_that_is_no_number_ends_it(start, monkeypatch):
    distiller = start()
    with torch.no_grad():
        distiller.network.shift[0].fill_(float("nan"))
    with pytest.raises(DivergedError, match="no longer a number"):
        next(iter(distiller))


@pytest.mark.parametrize("pictures", [[], [Picture(torch.rand(3, 100, 300))]])
def test_no_pictures_or_small_ones_are_refused(pictures, narrow, style_image):
    with pytest.raises(PictureError, match=r"pictures: got none|300x100 pixels are too few"):
        Training(load(style_image), pictures, preset(), narrow)


def test_a_file_holds_the_network_and_what_it_was_made_of(start, tmp_path):
    distiller = start(steps=1)
    list(distiller)
    path = tmp_path / "style.safetensors"
    distiller.finished().save(path)
    found = load_style_file(path)
    assert same(tensors(distiller), found.network.state_dict())
    assert found.name == "style.safetensors"
    assert (found.about["painting"], found.about["steps done"]) == ("painting.png", 1)
    assert found.about["settings"]["steps"] == 1


@pytest.fixture
def style_file(start, tmp_path) -> Path:
    path = tmp_path / "style.safetensors"
    start().finished().save(path)
    return path


def test_a_file_cut_off_anywhere_is_refused_in_one_line(style_file):
    data = style_file.read_bytes()
    for length in (0, 4, 8, 100, len(data) // 2, len(data) - 1):
        style_file.write_bytes(data[:length])
        with pytest.raises(WeightsError, match="is not a style of impasto") as caught:
            load_style_file(style_file)
        assert "\n" not in str(caught.value)


def test_other_weights_are_refused(narrow_weights, tmp_path):
    with pytest.raises(WeightsError, match="is not a style of impasto"):
        load_style_file(narrow_weights)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_style_file(tmp_path / "none.safetensors")
    (tmp_path / "large.safetensors").write_bytes(bytes(2**22 + 1))
    with pytest.raises(WeightsError, match="too large for a style"):
        load_style_file(tmp_path / "large.safetensors")


def test_values_that_are_not_finite_are_refused(style_file):
    found = safetensors.torch.load_file(style_file)
    found["shift.0"][0] = float("inf")
    safetensors.torch.save_file(found, style_file)
    with pytest.raises(WeightsError, match="not finite"):
        load_style_file(style_file)


def test_what_a_file_says_of_itself_is_json(start, tmp_path):
    network = start().network
    assert isinstance(network, SingleStyleTransformer)
    DistilledStyle(network, {"a": [1, "ü"]}).save(tmp_path / "a.safetensors")
    assert json.dumps(load_style_file(tmp_path / "a.safetensors").about) == '{"a": [1, "\\u00fc"]}'


def test_scenes_are_pictures_each_another_one():
    scenes = [scene(number, 64) for number in range(4)]
    for each in scenes:
        Picture(each)
        assert float(each.std()) > 0.1
    assert torch.equal(scenes[2], scene(2, 64))
    assert not any(torch.equal(scenes[0], each) for each in scenes[1:])


def test_there_are_pictures_to_learn_on():
    names = [each.name for each in train.default_training_images()]
    assert "portrait.jpg" in names
    assert len(names) == len(set(names)) == 4 + train.SCENES
