import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from impasto import files
from impasto.errors import OutputError, SaveError

WINDOWS = sys.platform == "win32"


def refusal(path: Path, *, overwrite: bool = False, inputs: tuple[Path, ...] = ()) -> str:
    with pytest.raises(OutputError) as caught:
        files.check_output(path, overwrite=overwrite, inputs=inputs)
    assert str(caught.value).isprintable()
    return str(caught.value)


def write(path: Path, *blocks: bytes) -> None:
    with files.replacing(path) as file:
        for block in blocks:
            file.write(block)


def test_the_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old and longer")
    write(path, b"n", b"ew")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_is_complete_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    with files.replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def fail() -> None:
        with files.replacing(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_a_save_error(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    with (
        pytest.raises(
            SaveError, match=r"out\.png: could not be written \(No space left on device\); nothing was saved"
        ),
        files.replacing(path),
    ):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_folder_is_a_save_error(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="could not be written"):
        write(tmp_path / "gone" / "out.png", b"new")


@pytest.mark.skipif(WINDOWS, reason="Windows has no such permissions")
def test_permissions_are_those_of_the_old_file_or_the_default(tmp_path: Path) -> None:
    old, new, plain = (tmp_path / name for name in ("old", "new", "plain"))
    old.touch()
    old.chmod(0o640)
    for path in (old, new):
        write(path, b"new")
    plain.touch()
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.skipif(WINDOWS, reason="Windows has no umask")
def test_a_new_file_gets_its_mode_without_touching_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", None)  # another thread might create a file at that moment
            write(tmp_path / "new", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "out.png"

    def write_meanwhile() -> None:
        with files.replacing(path, overwrite=False):
            path.write_bytes(b"of another program")

    with pytest.raises(OutputError, match=r"out\.png: exists already"):
        write_meanwhile()
    assert path.read_bytes() == b"of another program"
    with files.replacing(tmp_path / "free.png", overwrite=False) as file:
        file.write(b"new")
    assert (tmp_path / "free.png").read_bytes() == b"new"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["free.png", "out.png"]


@pytest.mark.skipif(WINDOWS, reason="Windows cannot open a folder")
@pytest.mark.parametrize("overwrite", [True, False])
def test_file_and_name_are_flushed_to_disk(overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, flushed = tmp_path / "out.png", []

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append((is_folder, path.exists()))
        if is_folder:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))  # some file systems cannot

    monkeypatch.setattr(os, "fsync", fsync)
    with files.replacing(path, overwrite=overwrite) as file:
        file.write(b"new")
    assert flushed == [(False, False), (True, True)]


@pytest.mark.skipif(WINDOWS, reason="links need a privilege on Windows")
def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "part").symlink_to("mine")
    with files.replacing(tmp_path / "new", temporary=tmp_path / "part") as file:
        file.write(b"new")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine", "new"]


@pytest.mark.skipif(WINDOWS, reason="Windows does not delete the working directory of a process")
def test_a_relative_path_in_a_deleted_working_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    said = r"out\.png: the working directory is gone \(.*\); give an absolute path"
    with pytest.raises(OutputError, match=said):
        files.check_output(Path("out.png"), overwrite=False)
    with pytest.raises(OutputError, match=said):
        write(Path("out.png"), b"new")
    write(tmp_path / "out.png", b"new")


def test_a_name_derived_from_a_long_one_still_fits(tmp_path: Path) -> None:
    assert files.beside(Path("/"), "{}.checkpoint") == Path("/.checkpoint")
    assert files.beside(tmp_path / "out {}.png", ".{}.lock") == tmp_path / ".out {}.png.lock"
    names = {files.beside(tmp_path / (letter * 255), ".{}.checkpoint.part").name for letter in "xy"}
    assert len(names) == 2
    assert all(len(name) < 256 for name in names)


def test_a_file_system_that_refuses_permissions_gets_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chmod", refuse)
    write(tmp_path / "new", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


@pytest.mark.skipif(WINDOWS, reason="links need a privilege on Windows")
def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_valid_path_is_accepted_and_nothing_is_created(tmp_path: Path) -> None:
    files.check_output(tmp_path / "out.png", overwrite=False, inputs=[tmp_path / "content.png"])
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_refused_without_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.touch()
    assert "exists already; choose another name or allow overwriting (--overwrite)" in refusal(path)
    files.check_output(path, overwrite=True)


def test_an_input_is_never_overwritten_under_any_of_its_names(tmp_path: Path) -> None:
    path = tmp_path / "content.png"
    path.touch()
    (tmp_path / "folder").mkdir()
    for name in (path, tmp_path / "folder" / ".." / "content.png"):
        assert "is also an input" in refusal(name, overwrite=True, inputs=(path,))


def test_a_folder_of_that_name_is_refused(tmp_path: Path) -> None:
    assert "is a folder; give the name of a file in it" in refusal(tmp_path, overwrite=True)


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    message = refusal(tmp_path / "none" / "out.png")
    assert f"{tmp_path / 'none'} does not exist" in message


@pytest.mark.parametrize("name", ["a\0b.png", "a" * 256 + ".png"])
def test_a_name_that_no_file_can_have_is_refused(name: str, tmp_path: Path) -> None:
    assert "a file name " in refusal(tmp_path / name)


@pytest.mark.skipif(not os.path.exists(os.devnull) or WINDOWS, reason="no device to write to")
def test_a_device_is_refused() -> None:
    assert "is not a regular file" in refusal(Path(os.devnull), overwrite=True)


@pytest.mark.skipif(WINDOWS or os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "is read-only" in refusal(tmp_path / "out.png")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", ["nul.png", "CON", "com1.jpg", "a:b.png", "what?.png", "trailing.", "trailing "])
def test_names_that_windows_cannot_have_are_refused_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not WINDOWS:
        files.check_output(tmp_path / name, overwrite=False)
    monkeypatch.setattr(sys, "platform", "win32")
    assert "Windows cannot have a file of that name; choose another" in refusal(tmp_path / name)
    files.check_output(tmp_path / "console.nul.png", overwrite=False)


@pytest.mark.parametrize("platform", ["win32", "linux"])
def test_windows_is_asked_again_to_replace_a_file_that_another_program_has_open(
    platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, replace = [PermissionError(errno.EACCES, os.strerror(errno.EACCES))] * 2, os.replace

    def refuse(*names: Path) -> None:
        if refusals:
            raise refusals.pop()
        replace(*names)

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(sys, "platform", platform)
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    if platform == "win32":
        write(path, b"new")
        assert path.read_bytes() == b"new"
    else:
        with pytest.raises(SaveError, match=r"could not be written \(Permission denied\)"):
            write(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_stays_open_on_windows_is_a_save_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SaveError, match="could not be written"):
        write(tmp_path / "out.png", b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("platform", "same"), [("win32", True), ("darwin", True), ("linux", False)])
def test_names_that_differ_in_case_or_composition_are_of_one_file_on_windows_and_macos(
    platform: str, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    one, other = tmp_path / "T\u00fcbingen.png", tmp_path / "Tu\u0308BINGEN.PNG"
    assert (files.comparable(one) == files.comparable(other)) is same
    assert files.comparable(one) != files.comparable(tmp_path / "other.png")
