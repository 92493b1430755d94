"""The image files that a batch is given: files, folders of images, and patterns such as photos/*.jpg."""

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from impasto import storage
from impasto.errors import JobError, PictureError, printable
from impasto.jobs.job import InputFile, file_hash
from impasto.storage import Place

READABLE = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif"}
"""Suffixes of the image files in a folder that are taken."""


def image_files(places: Iterable[Place]) -> list[Place]:
    """All image files, in the order given, those of a folder or pattern sorted; each once.

    Raises:
        PictureError: a file that does not exist, or a folder or pattern without images.
        JobError: a URI that cannot be read.
    """
    found: dict[Place, None] = {}
    for place in places:
        found |= dict.fromkeys(_files_of(place))
    return list(found)


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder by their suffixes, sorted, without hidden files."""
    return [path for path in _visible(folder) if path.suffix.lower() in READABLE and not path.is_dir()]


def skipped_in(folder: Path) -> list[str]:
    """What else is in a folder, without hidden files: a message each."""
    others = sorted({*_visible(folder)}.difference(images_in(folder)))
    reasons = ("is a folder" if path.is_dir() else "its suffix is not that of an image" for path in others)
    return [f"skipped {printable(path)}: {reason}" for path, reason in zip(others, reasons, strict=True)]


def _files_of(place: Place) -> Sequence[Place]:
    if isinstance(place, str):
        return _uris_of(place)
    if os.path.isdir(place):
        images = images_in(place)
        if not images:
            raise PictureError(f"{printable(place)}: contains no images; give another folder")
        return images
    if os.path.lexists(place) or not glob.has_magic(os.fspath(place)):
        return [place]
    matches = [Path(name) for name in sorted(glob.glob(os.fspath(place), recursive=True))]
    images = [path for path in matches if path.suffix.lower() in READABLE and not path.is_dir()]
    if not images:
        raise PictureError(f"{printable(place)}: matches no images; check the pattern")
    return images


def _uris_of(uri: str) -> list[str]:
    found = storage.files_at(uri)
    if found == [uri]:
        return found
    images = [each for each in found if Path(storage.name_of(each)).suffix.lower() in READABLE]
    if not images:
        raise PictureError(f"{printable(uri)}: no images are there; check the name")
    return images


def _visible(folder: Path) -> list[Path]:
    return [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]


def hashed_files(paths: Iterable[Place]) -> tuple[list[InputFile], list[str]]:
    """The files with their hashes, without repeated contents; and a message for each that cannot be read."""
    results = [_hashed(path) for path in paths]
    files = {each.sha256: each for each in reversed(results) if isinstance(each, InputFile)}
    return list(files.values())[::-1], [each for each in results if isinstance(each, str)]


def _hashed(path: Place) -> InputFile | str:
    try:
        return InputFile(path=os.fspath(path), sha256=file_hash(os.fspath(path)))
    except JobError as error:
        return str(error)
