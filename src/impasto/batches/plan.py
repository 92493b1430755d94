"""The plan of a batch: every content image with every style and every combination of settings, each with a file name.

A plan holds names and hashes only; its jobs are created when they are needed. So 100 000 jobs take some 30 MB.
"""

import collections
import dataclasses
import functools
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.batches.grid import Combination
from impasto.images.recipe import Task
from impasto.jobs.job import InputFile, Job, JobOutputs, StyleFile, job_id, settings_text, shares
from impasto.storage import is_uri

_MAX_STEM = 200  # bytes of a file name without its suffix; what is added to it has some 40
_ID_LENGTH = 10
"""Digits of a job's id in a file name that would not be unique without."""

Mixture = tuple[StyleFile, ...]


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job of a plan: its place in the plan, its id, and the name of its result."""

    number: int
    id: str
    name: str


@dataclass(frozen=True, eq=False)
class Plan:
    """Contents x styles x combinations; the combinations vary fastest, the contents slowest.

    Attributes:
        contents: the content images, with their hashes; None stands for none, for textures.
        styles: the style images of each job, mixed if there are several.
        combinations: the settings, each with its labels; a single one without labels if there is no grid.
        folder: of the results: a path or URI.
        inits: value of `Settings.init` -> the initial image, for the values that name a file.
        suffix: of the results, such as ".png".
        log: whether each job writes a log of its losses.
        named: id -> name of the result of jobs that an earlier batch has run in the folder; a name stays with its job.
    """

    contents: Sequence[InputFile | None]
    styles: Sequence[Mixture]
    combinations: Sequence[Combination]
    folder: str
    inits: Mapping[str, InputFile] = dataclasses.field(default_factory=dict)
    suffix: str = ".png"
    log: bool = False
    named: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.contents) * len(self.styles) * len(self.combinations)

    @functools.cached_property
    def jobs(self) -> tuple[PlannedJob, ...]:
        """All jobs with their ids and names, without repetitions: equal files under two names are one input."""
        ids = self._ids()
        numbers = {ids[number]: number for number in reversed(range(len(ids)))}  # of the first of each
        names = dict(zip(numbers, self._names(numbers), strict=True))
        return tuple(sorted((PlannedJob(number, each, names[each]) for each, number in numbers.items()), key=_number))

    def job(self, planned: PlannedJob) -> Job:
        """The job itself."""
        content, styles, combination = self._parts(planned.number)
        path = join(self.folder, planned.name)
        log = f"{path.removesuffix(self.suffix)}.jsonl" if self.log else None
        return Job(
            task=self._task(content, styles),
            content=content,
            styles=styles,
            init=self.inits.get(combination.settings.init),
            settings=combination.settings,
            outputs=JobOutputs(result=path, log=log),
        )

    def labels(self, planned: PlannedJob) -> dict[str, str]:
        """The columns of a table: the names of content and style image, and the values of the grid."""
        content, styles, combination = self._parts(planned.number)
        named = {"content_image": _name(content), "style_image": "+".join(map(_name, styles))}
        return {name: value for name, value in named.items() if value} | dict(combination.labels)

    def _parts(self, number: int) -> tuple[InputFile | None, Mixture, Combination]:
        rest, combination = divmod(number, len(self.combinations))
        content, styles = divmod(rest, len(self.styles))
        return self.contents[content], self.styles[styles], self.combinations[combination]

    @staticmethod
    def _task(content: InputFile | None, styles: Mixture) -> Task:
        return "texture" if content is None else "stylize" if styles else "reconstruct"

    def _ids(self) -> list[str]:
        settings = [self._settings(combination) for combination in self.combinations]
        mixtures = [(styles, _hashes_of(styles), shares(styles)) for styles in self.styles]
        return [
            job_id(self._task(content, styles), own | hashes | init, mixture, text)
            for content in self.contents
            for own in [{} if content is None else {"content": content.sha256}]
            for styles, hashes, mixture in mixtures
            for text, init in settings
        ]

    def _settings(self, combination: Combination) -> tuple[str, dict[str, str]]:
        """The settings as text, and the hash of their initial image, if it is a file."""
        init = self.inits.get(combination.settings.init)
        return settings_text(combination.settings), {} if init is None else {"init": init.sha256}

    def _names(self, numbers: Mapping[str, int]) -> list[str]:
        """A name for each job, by its id: that of its images and values, with a part of the id if it is not unique."""
        plain = [self._plain_name(number) for number in numbers.values()]
        counts = collections.Counter(map(comparable, [*plain, *self.named.values()]))
        return [
            self.named[each]
            if each in self.named
            else name
            if counts[comparable(name)] == 1
            else f"{name.removesuffix(self.suffix)}-{each[:_ID_LENGTH]}{self.suffix}"
            for each, name in zip(numbers, plain, strict=True)
        ]

    def _plain_name(self, number: int) -> str:
        content, styles, combination = self._parts(number)
        parts = [] if content is None else [_stem(content)]
        parts += ["+".join(map(_stem, styles))] if styles else []
        stem = portable("-".join(parts)) + (f"_{combination.stem}" if combination.labels else "")
        return stem.encode()[:_MAX_STEM].decode(errors="ignore") + self.suffix


def comparable(name: str) -> str:
    """Equal for names of the same file on any system: some ignore case, or normalize accents."""
    return unicodedata.normalize("NFC", name).casefold()


def portable(name: str) -> str:
    """A file name of characters that every system allows; letters of all alphabets stay."""
    return re.sub(r"[^\w.,+=-]+", "-", name).strip("-") or "image"


def join(folder: str, name: str) -> str:
    """The path or URI of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_uri(folder) else os.path.join(folder, name)


def _hashes_of(styles: Mixture) -> dict[str, str]:
    masks = {f"mask {number}": style.mask for number, style in enumerate(styles, 1)}
    hashes = {f"style {number}": style.sha256 for number, style in enumerate(styles, 1)}
    return hashes | {role: mask.sha256 for role, mask in masks.items() if isinstance(mask, InputFile)}


def _name(file: InputFile | None) -> str:
    return "" if file is None else Path(file.path).name


def _stem(file: InputFile) -> str:
    return Path(file.path).stem


def _number(planned: PlannedJob) -> int:
    return planned.number
