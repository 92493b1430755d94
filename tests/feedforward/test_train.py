"""Training of a network for one style: its steps, its checkpoints, its file, the training images."""

import copy
import functools
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

import impasto
from impasto import Run, events, load
from impasto.errors import CheckpointError, DivergedError, OutputError, PictureError, WeightsError
from impasto.feedforward import train
from impasto.feedforward.procedural_images import procedural_image
from impasto.feedforward.style_file import DistilledStyle, SingleStyleTransformer, load_style_file
from impasto.feedforward.stylizer import FastNetwork
from impasto.feedforward.train import RELATIVE_RATE, Training
from impasto.feedforward.training_images import PROCEDURAL_IMAGES, default_training_images
from impasto.feedforward.training_loss import STYLE_IMAGE_EDGE
from impasto.images.picture import Picture
from impasto.images.resize import resize, scaled_size
from impasto.jobs.claims import claimed
from impasto.loss.targets import CONTENT_FLOOR, content_targets
from impasto.optimize import checkpoint, tensor_file
from impasto.settings.presets import preset

pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("small_crops")]


@functools.cache
def drawn(seed):
    """A procedural image, drawn once."""
    return Picture(procedural_image(seed), name=f"image {seed}")


@pytest.fixture(scope="module")
def pretrained():
    return FastNetwork("cpu", "float32")


@pytest.fixture(autouse=True)
def _read_once(pretrained, monkeypatch):
    """Each training starts from a copy of the network, whose files are read once."""
    monkeypatch.setattr(train, "FastNetwork", lambda *_: copy.deepcopy(pretrained))


@pytest.fixture
def start(narrow, style_image):
    """Create a training with this number of steps on two procedural images."""

    def begin(steps=4, seeds=(0, 1), **changes):
        return Training(load(style_image), list(map(drawn, seeds)), preset().replace(steps=steps, **changes), narrow)

    return begin


def tensors(training):
    return training.network.state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def advance(training, steps):
    for _, _ in zip(range(steps), training, strict=False):
        pass
    return training


# -- checkpoints --


@pytest.mark.parametrize("done", [0, 2, 4])
def test_a_resumed_training_gives_the_same_bits_as_an_uninterrupted_one(done, start, tmp_path):
    whole, first, second = start(), advance(start(), done), start()
    list(whole)
    checkpoint.save(first, tmp_path / "c")
    assert checkpoint.resume(second, checkpoint.read(tmp_path / "c")) == ()
    assert (second.steps_done, second.seconds) == (done, first.seconds)
    assert [step.number for step in second] == [0, 1, 2, 3][done:]
    assert same(tensors(whole), tensors(second))


def test_the_first_step_after_a_start_or_a_resume_is_marked(start, tmp_path):
    training, resumed = start(), start()
    assert [step.is_first for _, step in zip(range(2), training, strict=False)] == [True, False]
    checkpoint.save(training, tmp_path / "c")
    checkpoint.resume(resumed, checkpoint.read(tmp_path / "c"))
    assert [step.is_first for step in resumed] == [True, False]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"style_weight": 2}, "was started with style_weight 1.0, got 2.0; give the same again, or start over"),
        ({"steps": 5}, "was started with steps 4, got 5; "),
        ({"seeds": (0, 2)}, "was started with another training image 2: image 1, got image 2, which is not the same"),
        ({"seeds": (0,)}, "was started with another training image 2: image 1, got none, "),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(changes, complaint, start, tmp_path):
    checkpoint.save(start(), tmp_path / "c")
    with pytest.raises(CheckpointError) as caught:
        checkpoint.resume(start(**changes), checkpoint.read(tmp_path / "c"))
    assert complaint in str(caught.value)


def test_a_checkpoint_of_a_run_is_refused(start, narrow, style_image, tmp_path):
    training = start()
    run = Run(load(style_image), [], training.settings, vgg=narrow)
    checkpoint.save(run, tmp_path / "c")
    with pytest.raises(CheckpointError, match="was started with task reconstruct, got distill"):
        checkpoint.resume(training, checkpoint.read(tmp_path / "c"))


def test_a_damaged_checkpoint_is_refused(start, tmp_path):
    path = tmp_path / "c"
    checkpoint.save(advance(start(), 1), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match="is not a checkpoint or is damaged"):
        checkpoint.read(path)
    for old, new in ((b"network.shift.0", b"network.shift.x"), (b"adam.0.exp_avg", b"adam.x.exp_avg")):
        path.write_bytes(whole.replace(old, new, 1))
        with pytest.raises(CheckpointError, match="is damaged"):
            checkpoint.read(path)
    path.write_bytes(whole)
    content, found = tensor_file.read_content(path), tensor_file.read_tensors(path)
    first, training = found["adam.0.exp_avg"], start()
    for forged in (
        {"network.shift.0": found["network.shift.0"].double()},
        {"network.shift.0": found["network.shift.0"] * float("nan")},
        {"network.shift.x": first},
        {"adam.0.step": torch.tensor(7.0)},
        {"adam.0.exp_avg": first[:1]},
        {"adam.0.exp_avg": first * float("inf")},
        {"adam.0.exp_avg_sq": first.abs() - 1},
        {"adam.999.exp_avg": first},
    ):
        with path.open("wb") as file:
            tensor_file.write(file, {**found, **forged}, content)
        with pytest.raises(CheckpointError, match=r"c: is damaged \(.*\); start over without --resume"):
            checkpoint.resume(training, checkpoint.read(path))


# -- the library's call --


class InterruptedTrainingError(Exception):
    """Raised by the caller of `distill` in the middle of a training."""


def test_distill_resumes_from_its_checkpoint_to_the_same_bits(narrow, style_image, tmp_path):
    images = [drawn(0)]
    settings, path = preset().replace(steps=3), tmp_path / "c"

    def interrupt(event):
        if isinstance(event, events.Stepped) and event.step == 2:
            raise InterruptedTrainingError

    whole = impasto.distill(style_image, images, settings, vgg=narrow)
    with pytest.raises(InterruptedTrainingError):
        impasto.distill(
            style_image, images, settings, vgg=narrow, on_event=interrupt, checkpoint=path, checkpoint_seconds=0
        )
    assert checkpoint.read(path).steps_done == 2
    seen = []
    with claimed([path]), pytest.raises(OutputError, match="c: is being written by another run"):
        impasto.distill(style_image, images, settings, vgg=narrow, checkpoint=path)
    resumed = impasto.distill(style_image, images, settings, vgg=narrow, on_event=seen.append, checkpoint=path)
    assert same(whole.network.state_dict(), resumed.network.state_dict())
    assert resumed.about == whole.about
    assert [type(event).__name__ for event in seen] == ["Noted", "Began", "Planned", "Stepped"]
    assert seen[0] == events.Noted("resuming at step 2 of 3")
    assert [*tmp_path.iterdir()] == []


def test_distill_refuses_a_checkpoint_before_any_work(narrow, style_image, tmp_path):
    (tmp_path / "c").write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match="is not a checkpoint or is damaged"):
        impasto.distill(style_image, ["missing.png"], vgg=narrow, checkpoint=tmp_path / "c")
    with pytest.raises(OutputError, match="does not exist; create it"):
        impasto.distill(style_image, ["missing.png"], vgg=narrow, checkpoint=tmp_path / "missing" / "c")


# -- the steps --


def test_the_loss_falls(start):
    training = start(steps=12, seeds=(0,))
    losses = [float(step.terms.total) for step in training]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


@pytest.mark.parametrize("number", [0, 1])
def test_the_gradient_is_that_of_the_loss(number, start):
    """Against the central difference of the loss for one weight, of a large and of a small crop."""
    training = start()
    network, crop = training.network, training.crop(number)
    losses = [training.losses[reduction] for reduction in training.view(number).reductions]
    output = network(crop)
    output.backward(sum(each.value_and_grad(output.detach(), crop)[1] for each in losses))
    weight = network.shift[-1]
    found, epsilon = float(weight.grad[1]), 1e-3

    def loss(change):
        with torch.no_grad():
            weight[1] += change
            total = sum(float(each.objective(crop)(each.reduced(network(crop))).total) for each in losses)
            weight[1] -= change
        return total

    assert found == pytest.approx((loss(epsilon) - loss(-epsilon)) / (2 * epsilon), rel=0.02)


def test_the_loss_of_a_step_is_the_sum_of_those_of_its_reductions(start):
    training = start()
    crop = training.crop(0)
    with torch.no_grad():
        output = training.network(crop)
    parts = [training.losses[reduction].value_and_grad(output, crop)[0] for reduction in (2, 4)]
    terms = next(iter(training)).terms
    for name in ("total", "content", "style"):
        assert float(getattr(terms, name)) == pytest.approx(sum(float(getattr(part, name)) for part in parts), rel=1e-4)
    assert float(sum(value for name, value in terms.layers.items() if name.startswith("style"))) == pytest.approx(
        float(terms.style)
    )


def test_a_reduction_compares_means_over_cells(start):
    """Pixels that change within their cell leave the loss as it is."""
    training = start()
    crop, checkerboard = training.crop(0), torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)
    images = [crop * 0.5 + 0.25 + change * checkerboard for change in (0.0, 0.2)]
    half, whole = (
        [float(training.losses[each].value_and_grad(image, crop)[0].total) for image in images] for each in (2, 1)
    )
    assert half[0] == pytest.approx(half[1], rel=1e-4)
    assert whole[0] != pytest.approx(whole[1], rel=0.1)


def test_the_content_error_of_an_image_of_one_color_has_a_floor(start, style_image):
    """Its features are weak: relative to them any stroke would be a large error, and flat areas would stay flat."""
    loss, style = start().losses[2], load(style_image).tensor[None]
    resized = resize(style, *scaled_size(*style.shape[2:], STYLE_IMAGE_EDGE // 2))
    for name, target in loss.objective(torch.full((1, 3, 64, 64), 0.5)).targets.content.items():
        features = content_targets(loss.vgg, resized, [name])[name].values
        assert target.normalizer == pytest.approx(CONTENT_FLOOR * float(features.square().mean()), rel=1e-3)


def test_deep_blocks_are_compared_in_large_crops_only(start):
    blocks = {reduction: {name[:6] for name in loss.style[0].layers} for reduction, loss in start().losses.items()}
    assert blocks == {
        1: {"block1", "block2", "block3"},
        2: {"block1", "block2", "block3", "block4", "block5"},
        4: {"block1", "block2", "block3", "block4", "block5"},
    }


def test_the_first_step_changes_every_tensor_by_the_same_share(start):
    """Adam's first step changes each value by the learning rate, whatever the gradient is, unless it is tiny."""
    training = start(steps=1000)
    before = {name: values.clone() for name, values in tensors(training).items()}
    advance(training, 1)
    shares = {
        name: float((tensors(training)[name] - old).abs().median() / old.square().mean().sqrt())
        for name, old in before.items()
    }
    assert shares == pytest.approx(dict.fromkeys(before, RELATIVE_RATE), rel=0.1)


def test_a_crop_depends_on_the_seed_and_the_step_only(start):
    training = start()
    assert [training.crop(number).shape for number in (2, 3)] == [(1, 3, 64, 64), (1, 3, 32, 32)]
    assert torch.equal(training.crop(3), start().crop(3))
    assert not torch.equal(training.crop(3), training.crop(4))
    assert not torch.equal(training.crop(3), start(seed=1).crop(3))


def test_a_loss_that_is_not_finite_ends_the_training(start, monkeypatch):
    training = start()
    with torch.no_grad():
        training.network.shift[0].fill_(float("nan"))
    with pytest.raises(DivergedError, match="step 0: the loss is nan"):
        next(iter(training))


@pytest.mark.parametrize("images", [[], [Picture(torch.rand(3, 100, 300))]])
def test_no_training_images_or_small_ones_are_refused(images, narrow, style_image):
    with pytest.raises(PictureError, match=r"images: got no training images|300x100 pixels are too few"):
        Training(load(style_image), images, preset(), narrow)


def test_a_style_file_holds_the_network_and_its_provenance(start, tmp_path):
    training = start(steps=1)
    list(training)
    path = tmp_path / "style.safetensors"
    training.result().save(path)
    found = load_style_file(path)
    assert same(tensors(training), found.network.state_dict())
    assert found.name == "style.safetensors"
    assert (found.about["style image"], found.about["steps done"]) == ("painting.png", 1)
    assert found.about["settings"]["steps"] == 1


@pytest.fixture(scope="module")
def style_bytes(narrow, style_image, tmp_path_factory) -> bytes:
    """A style file."""
    path = tmp_path_factory.mktemp("style") / "style.safetensors"
    Training(load(style_image), [drawn(0)], preset(), narrow).result().save(path)
    return path.read_bytes()


@pytest.fixture
def style_file(style_bytes, tmp_path) -> Path:
    path = tmp_path / "style.safetensors"
    path.write_bytes(style_bytes)
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
    with pytest.raises(WeightsError, match="4194305 bytes, more than 4194304"):
        load_style_file(tmp_path / "large.safetensors")


def test_values_that_are_not_finite_are_refused(style_file):
    found = tensor_file.read_tensors(style_file)
    found["shift.0"][0] = float("inf")
    safetensors.torch.save_file(found, style_file)
    with pytest.raises(WeightsError, match=r"is not a style of impasto \(shift\.0 has values from .* to inf\); give a"):
        load_style_file(style_file)


def test_tensors_of_other_dtypes_and_shapes_are_refused(style_file):
    found = tensor_file.read_tensors(style_file)
    for changed in (found["shift.0"].double(), found["shift.0"].bfloat16(), found["shift.0"][:-1], None):
        tensors = {name: each for name, each in {**found, "shift.0": changed}.items() if each is not None}
        safetensors.torch.save_file(tensors, style_file)
        with pytest.raises(WeightsError, match=r"is not a style of impasto \(.*shift\.0 is"):
            load_style_file(style_file)


def test_a_style_file_of_version_0_1_without_a_digest_is_read(style_file):
    safetensors.torch.save_file(tensor_file.read_tensors(style_file), style_file)
    load_style_file(style_file)


def test_any_changed_byte_of_a_style_file_is_refused(style_file):
    good = style_file.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    digest_name = good.index(b'"sha256"')
    places = [*range(0, header, 97), *range(digest_name, digest_name + 8), *range(header, len(good), 50_021)]
    for number, place in enumerate([*places, *range(len(good) - 32, len(good))]):
        style_file.write_bytes(good[:place] + bytes([good[place] ^ 1 << number % 8]) + good[place + 1 :])
        with pytest.raises(WeightsError, match="is not a style of impasto") as caught:
            load_style_file(style_file)
        assert str(caught.value).isprintable()


def test_what_a_file_says_of_itself_is_json(start, tmp_path):
    network = start().network
    assert isinstance(network, SingleStyleTransformer)
    DistilledStyle(network, {"a": [1, "ü"]}).save(tmp_path / "a.safetensors")
    assert json.dumps(load_style_file(tmp_path / "a.safetensors").about) == '{"a": [1, "\\u00fc"]}'


# -- the training images --


def test_procedural_images_differ_and_depend_on_the_seed_only():
    images = [procedural_image(seed, 64) for seed in range(4)]
    for image in images:
        Picture(image)
        assert float(image.std()) > 0.1
    assert torch.equal(images[2], procedural_image(2, 64))
    assert not any(torch.equal(images[0], image) for image in images[1:])


def test_the_default_training_images_are_those_of_the_demo_and_procedural_ones():
    names = [image.name for image in default_training_images()]
    assert "portrait.jpg" in names
    assert len(names) == len(set(names)) == 4 + PROCEDURAL_IMAGES
