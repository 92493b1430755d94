"""Files that are no images: one that is no regular file, or too long, is refused without reading it."""

import os
from pathlib import Path

import pytest

import impasto
from impasto.errors import CheckpointError, ImpastoError, LogError, SettingError, WeightsError
from impasto.feedforward.style_file import load_style_file
from impasto.input_files import read_limited, sha256_of
from impasto.optimize import checkpoint
from impasto.vgg import weights

READERS = [
    (impasto.plot, ".jsonl", LogError),
    (impasto.preset, ".toml", SettingError),
    (load_style_file, ".safetensors", WeightsError),
    (lambda path: weights.load(weights.find(path)), ".h5", WeightsError),
    (lambda path: checkpoint.read(Path(path)), ".checkpoint", CheckpointError),
    (impasto.load, ".png", ImpastoError),
]


@pytest.mark.parametrize(("read", "suffix", "error"), READERS)
@pytest.mark.posix("named pipes and /dev/zero")
def test_a_named_pipe_or_a_device_is_refused_and_not_waited_for(read, suffix, error, tmp_path):
    pipe, device = tmp_path / f"pipe{suffix}", tmp_path / f"device{suffix}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(error) as caught:
            read(str(path))
        assert "regular file" in str(caught.value) or "existing file" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("read", "suffix", "error"), READERS)
def test_a_file_that_is_too_long_is_refused_without_reading_it(read, suffix, error, tmp_path):
    path = tmp_path / f"long{suffix}"
    with path.open("wb") as file:
        file.truncate(2**41)
    with pytest.raises(error):
        read(str(path))


def test_contents_and_hashes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(3_000_000))
    assert len(read_limited(path, 3_000_000)) == 3_000_000
    with pytest.raises(OSError, match="3000000 bytes, more than 2999999"):
        read_limited(path, 2_999_999)
    # by coreutils: head -c 3000000 /dev/zero | sha256sum
    assert sha256_of(path) == "35bce4eae54ec8e6cc2868baa8d157914d6ae2858811b4cc0c078c94460fa26f"
