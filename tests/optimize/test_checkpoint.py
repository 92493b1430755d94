"""A run that is resumed gives the same bits as one without interruption."""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto import Picture, Run, Settings, load
from impasto.errors import CheckpointError, SaveError
from impasto.optimize import checkpoint
from impasto.vgg.model import VGG19

SETTINGS = Settings(size=48, first_scale=24, steps=4)


@pytest.fixture(scope="module")
def pair(content_image: Path, style_image: Path) -> tuple[Picture, Picture]:
    return load(content_image), load(style_image)


@pytest.fixture
def begin(pair: tuple[Picture, Picture], narrow: VGG19) -> Callable[..., Run]:
    def begin(*, dtype: torch.dtype = torch.float32, strips: object = None, **changes: object) -> Run:
        vgg = VGG19(narrow.kernels, dtype=dtype)
        return Run(pair[0], [pair[1]], SETTINGS.replace(**changes), vgg=vgg, strips=strips)  # type: ignore[arg-type]

    return begin


def advance(run: Run, steps: int) -> Run:
    for _, _ in zip(range(steps), run, strict=False):
        pass
    return run


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("optimizer", ["adam", "keras-adam", "lbfgs"])
@pytest.mark.parametrize("done", [0, 1, 3, 4, 5, 8])
def test_a_resumed_run_takes_the_same_steps_as_an_uninterrupted_one(
    done: int, optimizer: str, dtype: torch.dtype, begin, tmp_path: Path
) -> None:
    how = {"optimizer": optimizer, "dtype": dtype, "average": 0.5}
    whole, broken = begin(**how), advance(begin(**how), done)
    checkpoint.save(broken, tmp_path / "c")
    resumed = begin(**how)
    assert checkpoint.resume(resumed, checkpoint.read(tmp_path / "c")) == ()
    assert resumed.steps_done == done
    expected = [(step.number, step.scale, step.terms.to_floats()) for step in whole][done:]
    assert [(step.number, step.scale, step.terms.to_floats()) for step in resumed] == expected
    assert torch.equal(resumed.picture.tensor, whole.picture.tensor)
    assert broken.seconds <= resumed.seconds


def test_a_run_that_has_switched_to_adam_is_resumed_with_adam(pair, narrow: VGG19, tmp_path: Path) -> None:
    runs = [Run(pair[0], [pair[0]], SETTINGS.replace(steps=6, scale_factor=1), vgg=narrow) for _ in range(3)]
    whole, broken, resumed = runs
    checkpoint.save(advance(broken, 3), tmp_path / "c")
    checkpoint.resume(resumed, checkpoint.read(tmp_path / "c"))
    assert not any(step.notes for step in resumed)
    list(whole)
    assert torch.equal(resumed.picture.tensor, whole.picture.tensor)


def test_a_checkpoint_holds_the_strips_of_the_run(begin, tmp_path: Path) -> None:
    whole, broken = (begin(strips=(16, 16)) for _ in range(2))
    checkpoint.save(advance(broken, 5), tmp_path / "c")
    found = checkpoint.read(tmp_path / "c")
    resumed = begin(strips=found.strips)
    assert [plan.strip for plan in resumed.plan] == found.strips == [16, 16]
    checkpoint.resume(resumed, found)
    for run in (whole, resumed):
        list(run)
    assert torch.equal(resumed.picture.tensor, whole.picture.tensor)


def test_equal_tensors_are_stored_once(begin, tmp_path: Path) -> None:
    checkpoint.save(advance(begin(optimizer="adam"), 6), tmp_path / "c")
    picture = 3 * 48 * 36 * 4
    assert (tmp_path / "c").stat().st_size < 5 * picture  # picture, mean, square, best


def test_a_resumed_run_does_not_write_to_the_file_that_it_came_from(begin, tmp_path: Path) -> None:
    checkpoint.save(advance(begin(optimizer="adam"), 2), tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    resumed = begin(optimizer="adam")
    checkpoint.resume(resumed, checkpoint.read(tmp_path / "c"))
    list(resumed)
    assert (tmp_path / "c").read_bytes() == before


# -- refusals --


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"steps": 5}, "was started with steps 4, got 5; give the same again, or start over without --resume"),
        ({"style_weight": 2}, "was started with style_weight 1.0, got 2.0; "),
        ({"dtype": torch.bfloat16}, "was started with precision float32, got bfloat16; "),
    ],
)
def test_other_settings_are_refused_by_their_names(changes: dict, complaint: str, begin, tmp_path: Path) -> None:
    checkpoint.save(begin(), tmp_path / "c")
    with pytest.raises(CheckpointError) as caught:
        checkpoint.resume(begin(**changes), checkpoint.read(tmp_path / "c"))
    assert str(caught.value).startswith(f"{tmp_path / 'c'}: {complaint}")


def test_other_pictures_and_weights_are_refused(pair, begin, narrow: VGG19, tmp_path: Path) -> None:
    checkpoint.save(begin(), tmp_path / "c")
    content_image, style_image = pair
    other = Picture(torch.rand(3, 30, 40), name="other.png")
    louder = VGG19(narrow.kernels)
    louder.sha256 = "1"
    settings = SETTINGS
    for run, complaint in (
        (
            Run(other, [style_image], settings, vgg=narrow),
            "another content: photo.png, got other.png, which is not the ",
        ),
        (
            Run(content_image, [other], settings, vgg=narrow),
            "another style 1: painting.png, got other.png, which is not",
        ),
        (Run(content_image, [style_image, other], settings, vgg=narrow), "another style 2: none, got other.png"),
        (
            Run(content_image, [style_image], settings.replace(init="other.png"), init=other, vgg=narrow),
            "was started with init content, got other.png",
        ),
        (Run(content_image, [], settings, vgg=narrow), "was started with task stylize, got reconstruct"),
        (Run(content_image, [style_image], settings, vgg=louder), "was started with other network weights"),
    ):
        with pytest.raises(CheckpointError) as caught:
            checkpoint.resume(run, checkpoint.read(tmp_path / "c"))
        assert complaint in str(caught.value)


def test_another_version_is_noted(begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "2.0.0")
    checkpoint.save(begin(), tmp_path / "c")
    monkeypatch.undo()
    notes = checkpoint.resume(begin(), checkpoint.read(tmp_path / "c"))
    assert notes == (f"started with torch 2.0.0, now {torch.__version__}: the result may differ slightly",)


def test_another_number_of_threads_is_noted(begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(begin(), tmp_path / "c")
    now = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: now + 1)
    notes = checkpoint.resume(begin(), checkpoint.read(tmp_path / "c"))
    assert notes == (f"started with threads {now}, now {now + 1}: the result may differ slightly",)


def test_a_checkpoint_that_is_discarded_leaves_no_file(begin, tmp_path: Path) -> None:
    checkpoint.save(begin(), tmp_path / "c")
    (tmp_path / ".c.part").write_bytes(b"half")
    checkpoint.discard(tmp_path / "c")
    checkpoint.discard(tmp_path / "c")
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_is_not_a_checkpoint_is_refused_in_one_line(begin, narrow_weights: Path, tmp_path: Path) -> None:
    checkpoint.save(advance(begin(), 2), tmp_path / "c")
    good = (tmp_path / "c").read_bytes()
    (length,) = struct.unpack("<Q", good[:8])
    header = json.loads(good[8 : 8 + length])
    said = json.loads(header["__metadata__"]["impasto"])

    def forged(**changes: object) -> bytes:
        output = {**header, "__metadata__": {"impasto": json.dumps({**said, **changes})}}
        text = json.dumps(output).encode()
        data = struct.pack("<Q", len(text)) + text + good[8 + length : -32]
        return data + hashlib.sha256(data).digest()

    for data in (
        b"",
        b"hello",
        good[:100],
        good[:-1],
        narrow_weights.read_bytes(),
        forged(numbers={}),
        forged(spec=None),
        forged(spec={name: each for name, each in said["spec"].items() if name != "pictures"}),
        forged(spec={**said["spec"], "pictures": ["photo.png"]}),
        forged(spec={**said["spec"], "pictures": {"content": {"name": "photo.png"}}}),
        forged(threads="many"),
        forged(threads=10**9),
        forged(numbers={**said["numbers"], "strips": ["x", 1]}),
        forged(numbers={**said["numbers"], "strips": [0, 1]}),
    ):
        (tmp_path / "c").write_bytes(data)
        with pytest.raises(
            CheckpointError, match=r"c: is not a checkpoint or is damaged \(.*\); start over without --resume"
        ):
            checkpoint.read(tmp_path / "c")
    for numbers in ({"scale_index": 7}, {"scale_run": {}}, {"steps_done": 10**9}):
        (tmp_path / "c").write_bytes(forged(numbers={**said["numbers"], **numbers}))
        with pytest.raises(CheckpointError, match=r"c: is damaged \(.*\); start over without --resume"):
            checkpoint.resume(begin(), checkpoint.read(tmp_path / "c"))
    with pytest.raises(CheckpointError, match="does not exist; start over without --resume"):
        checkpoint.read(tmp_path / "none")


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(begin, tmp_path: Path, monkeypatch) -> None:
    run = begin()
    checkpoint.save(run, tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    monkeypatch.setattr("impasto.files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(SaveError, match="c: could not be written"):
        checkpoint.save(advance(run, 1), tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
