"""A run that is resumed gives the same bits as one without interruption."""

import functools
import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from impasto import Picture, Run, Settings, load
from impasto.errors import CheckpointError, SaveError
from impasto.optimize import checkpoint, tensor_file
from impasto.version import __version__
from impasto.vgg.model import VGG19

SETTINGS = Settings(size=48, first_scale=24, steps=4)


@pytest.fixture(scope="module")
def pair(content_image: Path, style_image: Path) -> tuple[Picture, Picture]:
    return load(content_image), load(style_image)


@pytest.fixture(scope="module")
def begin(pair: tuple[Picture, Picture], narrow: VGG19) -> Callable[..., Run]:
    def begin(*, dtype: torch.dtype = torch.float32, strips: object = None, **changes: object) -> Run:
        vgg = VGG19(narrow.kernels, dtype=dtype)
        return Run(pair[0], [pair[1]], SETTINGS.replace(**changes), vgg=vgg, strips=strips)  # type: ignore[arg-type]

    return begin


@pytest.fixture(scope="module")
def uninterrupted(begin: Callable[..., Run]) -> Callable[..., tuple[list[tuple[object, ...]], torch.Tensor]]:
    """The steps of a run that is not interrupted, and its image."""

    @functools.cache
    def complete(**how: object) -> tuple[list[tuple[object, ...]], torch.Tensor]:
        run = begin(**how)
        return logged(run), run.picture.tensor

    return complete


def logged(run: Run) -> list[tuple[object, ...]]:
    """Number, scale and terms of every step that is still to be taken."""
    return [(step.number, step.scale, step.terms.to_floats()) for step in run]


def advance(run: Run, steps: int) -> Run:
    for _, _ in zip(range(steps), run, strict=False):
        pass
    return run


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("optimizer", ["adam", "keras-adam", "lbfgs"])
@pytest.mark.parametrize("done", [0, 1, 3, 4, 5, 8])
def test_a_resumed_run_takes_the_same_steps_as_an_uninterrupted_one(
    done: int, optimizer: str, dtype: torch.dtype, *, begin, uninterrupted, tmp_path: Path
) -> None:
    how = {"optimizer": optimizer, "dtype": dtype, "average": 0.5}
    (steps, image), broken = uninterrupted(**how), advance(begin(**how), done)
    checkpoint.save(broken, tmp_path / "c")
    resumed = begin(**how)
    assert checkpoint.resume(resumed, checkpoint.read(tmp_path / "c")) == ()
    assert resumed.steps_done == done
    assert logged(resumed) == steps[done:]
    assert torch.equal(resumed.picture.tensor, image)
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


@pytest.fixture
def forge(begin, tmp_path: Path) -> Callable[..., Run]:
    """Change the state in a checkpoint, with the right SHA-256, and resume from it."""

    def forge(
        tensors: dict[str, torch.Tensor | None] | None = None, numbers: dict | None = None, optimizer: str = "lbfgs"
    ) -> Run:
        path = tmp_path / "c"
        checkpoint.save(advance(begin(optimizer=optimizer, average=0.5), 2), path)
        header, state = tensor_file.read_content(path), tensor_file.read_tensors(path)
        for name in tensors or {}:
            header["same"].pop(name, None)
        state = {name: each for name, each in {**state, **(tensors or {})}.items() if each is not None}
        scale_run = {**header["numbers"]["scale_run"], **(numbers or {}).get("scale_run", {})}
        header["numbers"] = {**header["numbers"], **(numbers or {}), "scale_run": scale_run}
        with path.open("wb") as file:
            tensor_file.write(file, state, header)
        run = begin(optimizer=optimizer, average=0.5)
        checkpoint.resume(run, checkpoint.read(path))
        return run

    return forge


IMAGE = torch.full((1, 3, 18, 24), 0.5)


@pytest.mark.parametrize(
    ("tensors", "optimizer"),
    [
        ({"optimizer.image": IMAGE + 6.5}, "lbfgs"),
        ({"optimizer.image": IMAGE - 0.6}, "adam"),
        ({"best": IMAGE * float("nan")}, "lbfgs"),
        ({"average.value": IMAGE + 1}, "adam"),
        ({"optimizer.image": torch.full((1, 3, 40, 40), 0.5)}, "lbfgs"),
        ({"optimizer.image": IMAGE[0]}, "adam"),
        ({"optimizer.image": IMAGE.double()}, "lbfgs"),
        ({"optimizer.image": IMAGE.byte()}, "lbfgs"),
        ({"optimizer.gradient": IMAGE * float("inf")}, "lbfgs"),
        ({"optimizer.gradient": None}, "lbfgs"),
        ({"optimizer.s": torch.zeros(21, IMAGE.numel()), "optimizer.y": torch.zeros(21, IMAGE.numel())}, "lbfgs"),
        ({"optimizer.s": torch.zeros(0, IMAGE.numel())}, "lbfgs"),
        ({"optimizer.s": torch.zeros(())}, "lbfgs"),
        ({"optimizer.inner_products": torch.eye(3).double()}, "lbfgs"),
        ({"optimizer.terms": torch.zeros(3)}, "lbfgs"),
        ({"optimizer.first_moment": IMAGE.bfloat16()}, "adam"),
        ({"optimizer.first_moment": IMAGE * float("nan")}, "adam"),
        ({"optimizer.second_moment": -IMAGE}, "adam"),
        ({"optimizer.second_moment": None}, "adam"),
        ({"unknown": IMAGE}, "adam"),
    ],
)
def test_tensors_that_are_not_those_of_the_run_are_refused(tensors: dict, optimizer: str, forge) -> None:
    with pytest.raises(CheckpointError, match=r"c: is damaged \(.*\); start over without --resume") as caught:
        forge(tensors, optimizer=optimizer)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "numbers",
    [
        {"steps_done": True},
        {"steps_done": 1.0},
        {"steps_done": -1},
        {"steps_done": 10**400},
        {"seconds": float("nan")},
        {"seconds": "1"},
        {"scale_index": -1},
        {"strips": []},
        {"strips": [10**400, None]},
        {"more": 1},
        {"scale_run": {"kind": "SGD"}},
        {"scale_run": {"kind": "LBFGS", "optimizer": {"steps": 1, "learning_rate": 0.1}}},
        {"scale_run": {"optimizer": {"newest": 20, "layers": []}}},
        {"scale_run": {"optimizer": {"newest": 0, "layers": ["block1_conv1"]}}},
        {"scale_run": {"average": {"count": 10**400}}},
        {"scale_run": {"recoveries": None}},
        {"scale_run": {"first_loss": float("inf")}},
        {"scale_run": {"shows_best": "no"}},
    ],
)
def test_numbers_that_are_not_those_of_the_run_are_refused(numbers: dict, forge) -> None:
    with pytest.raises(CheckpointError, match=r"c: is .*damaged \(.*\); start over without --resume") as caught:
        forge(numbers=numbers)
    assert str(caught.value).isprintable()


def test_an_unchanged_state_is_accepted(forge) -> None:
    for optimizer in ("lbfgs", "adam", "keras-adam"):
        assert forge(optimizer=optimizer).steps_done == 2


def test_any_changed_byte_and_any_missing_end_is_refused_in_one_line(begin, tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(advance(begin(), 1), path)
    good = path.read_bytes()
    header = 8 + struct.unpack("<Q", good[:8])[0]
    places = [*range(16), *range(16, header, 7), *range(header, len(good), 211), *range(len(good) - 32, len(good))]
    with path.open("r+b", buffering=0) as file:
        for number, place in enumerate(places):
            file.seek(place)
            file.write(bytes([good[place] ^ 1 << number % 8]))
            with pytest.raises(CheckpointError) as caught:
                checkpoint.read(path)
            assert str(caught.value).isprintable()
            file.seek(place)
            file.write(good[place : place + 1])
        for place in reversed(places):
            file.truncate(place)
            with pytest.raises(CheckpointError):
                checkpoint.read(path)


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deeply_nested_json_is_refused(depth: int, begin, tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(begin(), path)
    for text in ("[" * depth + "]" * depth, '{"spec": ' * depth + "0" + "}" * depth):
        header = json.dumps({"__metadata__": {"impasto": text}}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header)
        with pytest.raises(CheckpointError, match="is not a checkpoint or is damaged"):
            checkpoint.read(path)


def test_a_shape_beyond_the_file_is_refused_without_allocating_it(begin, tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoint.save(begin(), path)
    good = path.read_bytes()
    for shape in (b"[1,3,99,24]", b"[1,3,10**12]", b"[9999999999]"):
        path.write_bytes(good.replace(b"[1, 3, 18, 24]", shape.ljust(14), 1))
        with pytest.raises(CheckpointError, match="is not a checkpoint or is damaged"):
            checkpoint.read(path)


def test_a_checkpoint_of_another_version_of_impasto_is_refused_by_the_version(
    begin, tmp_path: Path, monkeypatch
) -> None:
    checkpoint.save(begin(), tmp_path / "c")
    monkeypatch.setattr(checkpoint, "__version__", "9.9")
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read(tmp_path / "c")
    assert str(caught.value) == (
        f"{tmp_path / 'c'}: was written by impasto {__version__}, this is 9.9; resume it with that version, or start "
        "over without --resume"
    )


def test_settings_of_another_version_are_said_to_be_so(begin) -> None:
    spec = begin().spec
    for settings in ({**spec["settings"], "old_name": None}, {}):
        said = checkpoint.difference({**spec, "settings": settings}, spec)
        assert said == f"was written by another version of impasto ({__version__}), which has other settings"


def test_what_a_checkpoint_says_stays_one_line(begin, forge, tmp_path: Path) -> None:
    spec = begin().spec
    said = checkpoint.difference({**spec, "task": "a\nb" * 1000}, spec)
    assert said.startswith("was started with task a\\nb")
    assert said.isprintable()
    assert len(said) < 400


def test_a_checkpoint_records_which_files_belong_to_the_run(begin, tmp_path: Path) -> None:
    folder, other = tmp_path / "run", tmp_path / "other"
    (folder / "logs").mkdir(parents=True)
    other.mkdir()
    odd = os.fsdecode(b"not UTF-8 \xff.png")
    outputs = [folder / "out.png", folder / odd, folder / "logs" / ".." / "logs" / "l.jsonl"]
    checkpoint.save(begin(), folder / "c", outputs=outputs)
    folder.rename(tmp_path / "moved")
    found = checkpoint.read(tmp_path / "moved" / "c")
    owned = ["c", "out.png", "logs/l.jsonl", odd]
    assert all(found.owns(tmp_path / "moved" / name) for name in owned)
    assert not any(found.owns(other / name) for name in owned)
    assert not found.owns(tmp_path / "moved" / "other.png")


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(begin, tmp_path: Path, monkeypatch) -> None:
    run = begin()
    checkpoint.save(run, tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    monkeypatch.setattr("impasto.files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(SaveError, match="c: could not be written"):
        checkpoint.save(advance(run, 1), tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
