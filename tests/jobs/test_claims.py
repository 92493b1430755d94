"""A run claims the files that it writes."""

import errno
import os
import sys

import filelock
import pytest

from impasto.errors import OutputError
from impasto.jobs.claims import claimed


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_claimed_file_is_refused_until_the_claim_ends(tmp_path):
    mine, other = tmp_path / "mine.png", tmp_path / "other.png"
    with claimed([mine]):
        with claimed([other]):
            pass
        with pytest.raises(OutputError) as caught, claimed([other, mine]):
            pytest.fail("claimed twice")
        assert str(caught.value) == (
            f"{mine}: is being written by another run; choose another name, or wait until it has ended"
        )
        assert names(tmp_path) == [".mine.png.lock"]
    assert names(tmp_path) == []
    with claimed([mine]):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_file_has_one_claim_under_all_of_its_names(tmp_path):
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    with (
        claimed([tmp_path / "link", tmp_path / "file"]),
        pytest.raises(OutputError, match="is being written"),
        claimed([tmp_path / "folder" / ".." / "file"]),
    ):
        pytest.fail("claimed twice")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_claim_ends_with_an_error(error, tmp_path):
    with pytest.raises(error), claimed([tmp_path / "a", tmp_path / "b"]):
        raise error
    assert names(tmp_path) == []


def test_what_a_killed_run_left_is_no_claim_and_is_removed(tmp_path):
    (tmp_path / ".out.png.lock").touch()
    with claimed([tmp_path / "out.png"]):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOLCK, "no locks"),
        OSError(errno.EROFS, "read-only"),
        NotImplementedError("FileSystem lacks flock"),
    ],
)
def test_without_locks_there_is_no_claim(error, tmp_path, monkeypatch):
    def acquire(*_, **__):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with claimed([tmp_path / "out.png"]), claimed([tmp_path / "out.png"]):
        pass
    assert names(tmp_path) == []


def test_no_folder_is_created_and_names_of_255_bytes_are_claimed(tmp_path):
    long = tmp_path / ("x" * 255)
    with claimed([tmp_path / "no" / "out.png", tmp_path, long]):
        assert len(names(tmp_path)) == 1
        with pytest.raises(OutputError, match="is being written"), claimed([long]):
            pytest.fail("claimed twice")
    assert names(tmp_path) == []
    assert not os.path.exists(tmp_path / "no")
