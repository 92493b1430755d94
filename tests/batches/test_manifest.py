"""The manifest: what ended stays recorded, whatever happens to the file."""

import json
from pathlib import Path

import pytest

from impasto.batches import manifest
from impasto.batches.manifest import Manifest, Record
from impasto.errors import OutputError, SaveError

ONE = Record("1" * 64, "a.png", "done", {"content_image": "a.jpg"}, 3, 1.5, {"total": 2.0})
TWO = Record("2" * 64, "b.png", "failed", message="b.jpg: is damaged")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "manifest.jsonl"


def write(path, *records, keep=True):
    with Manifest(path, keep=keep) as log:
        for record in records:
            log.append(record)


def test_records_are_read_as_they_were_written(path):
    write(path, ONE, TWO)
    assert manifest.read(path) == {ONE.id: ONE, TWO.id: TWO}
    write(path, ONE, keep=False)
    assert manifest.read(path) == {ONE.id: ONE}


def test_the_last_record_of_a_job_counts(path):
    write(path, TWO)
    again = Record(TWO.id, "b.png", "done")
    write(path, again)
    assert manifest.read(path) == {TWO.id: again}


@pytest.mark.parametrize("cut", [1, 10, 50])
def test_a_line_that_was_cut_off_is_not_read_and_harms_no_other(path, cut):
    write(path, ONE, TWO)
    path.write_bytes(path.read_bytes()[:-cut])
    assert manifest.read(path) == {ONE.id: ONE}
    write(path, TWO)
    assert manifest.read(path) == {ONE.id: ONE, TWO.id: TWO}


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b'{"id": 1, "output": "x", "state": "done"}',
        b'{"id": "1", "output": "../x.png", "state": "done"}',
        b'{"id": "1", "output": "x.png", "state": "done", "labels": {"a": 1}}',
        b'{"id": "1", "output": "x.png", "state": "done", "run": 1}',
        b"[" * 100_000,
        b"x" * 2_000_000,
    ],
)
def test_damaged_lines_are_left_out(path, line):
    write(path, ONE)
    path.write_bytes(path.read_bytes() + line + b"\n")
    write(path, TWO)
    assert manifest.read(path) == {ONE.id: ONE, TWO.id: TWO}


def test_no_manifest_is_an_empty_one_and_a_folder_is_refused(path):
    assert manifest.read(path) == {}
    path.mkdir()
    with pytest.raises(OutputError, match=r"manifest\.jsonl: cannot be read"):
        manifest.read(path)
    with pytest.raises(SaveError, match=r"manifest\.jsonl: could not be written"):
        Manifest(path, keep=True)


@pytest.mark.linux("/dev/full")
def test_a_full_disk_is_one_line(path):
    path.symlink_to("/dev/full")
    with Manifest(path, keep=False) as log, pytest.raises(SaveError, match=r"No space left on device.*--resume"):
        log.append(ONE)


def test_a_record_is_one_line_of_json(path):
    write(path, Record("1", "a\nb.png", "done"))
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["output"] == "a\nb.png"
    assert Path(path).stat().st_size > 0
