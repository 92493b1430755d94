"""What a client asks for: a job by the hashes of uploaded files, and its settings."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from impasto.images.recipe import MAX_WEIGHT, Task
from impasto.jobs.job import InputFile, Job, JobOutputs, StyleFile
from impasto.settings.model import INITS, Settings
from impasto.settings.presets import preset

MAX_STYLES = 16
PREVIEW_EDGE = 1024
"""Long edge of previews in pixels."""
PREVIEW_EVERY = 10
"""Steps between two previews."""
PRIORITIES = (-2, 2)

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of an uploaded file.")]
State = Literal["waiting", "running", "paused", "done", "stopped", "failed", "canceled"]
Request = Literal["pause", "stop", "cancel"]
ENDED = ("done", "stopped", "failed", "canceled")


@functools.cache
def default_settings() -> Settings:
    """The settings of a job that says nothing else: those of the default preset, with 16 bits per channel, from which
    files with 8 bits can be made."""
    return preset().replace(depth=16)


def _complete(settings: object) -> object:
    """All settings, from those that are given."""
    return default_settings().replace(**settings) if isinstance(settings, Mapping) else settings


class StyleSpec(BaseModel):
    """A style image, its weight in the mixture, and its mask: an uploaded file, or the alpha of the content image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Digest
    weight: float = Field(1.0, gt=0, le=MAX_WEIGHT, allow_inf_nan=False)
    mask: Digest | Literal["alpha"] | None = None


class JobSpec(BaseModel):
    """A job as a client describes it. Files are named by their hashes only: no path of a client is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task = "stylize"
    content: Digest | None = None
    styles: tuple[StyleSpec, ...] = Field((), max_length=MAX_STYLES)
    init: Digest | None = None
    keep: Digest | None = None
    detail: Digest | None = None
    settings: Annotated[Settings, BeforeValidator(_complete)] = Field(default_factory=default_settings)
    priority: int = Field(0, ge=PRIORITIES[0], le=PRIORITIES[1])
    name: str = Field("", max_length=200)
    timelapse: bool = False

    @model_validator(mode="after")
    def _check(self) -> "JobSpec":
        if self.settings.init not in INITS:
            raise ValueError(f"settings.init: got a file; upload it, and give its id as init, or {', '.join(INITS)}")
        if self.task != "texture" and self.content is None:
            raise ValueError("content: is missing; upload a content image, and give its id")
        if self.task != "reconstruct" and not self.styles:
            raise ValueError("styles: is missing; upload a style image, and give its id")
        return self

    @property
    def digests(self) -> list[str]:
        """The hashes of all input files."""
        masks = [style.mask for style in self.styles if style.mask != "alpha"]
        named = [self.content, self.init, self.keep, self.detail, *(style.file for style in self.styles), *masks]
        return [digest for digest in named if digest is not None]

    def to_job(
        self, path_of: Callable[[str], Path], name_of: Callable[[str], str], outputs: JobOutputs, parent: str | None
    ) -> Job:
        """The job with the paths of its files.

        Args:
            path_of, name_of: of an uploaded file by its hash.
            parent: the id of the job that this one continues.
        """

        def file(digest: str | None) -> InputFile | None:
            return None if digest is None else InputFile(path=str(path_of(digest)), sha256=digest, name=name_of(digest))

        styles = tuple(
            StyleFile(
                path=str(path_of(style.file)),
                sha256=style.file,
                name=name_of(style.file),
                weight=style.weight,
                mask="alpha" if style.mask == "alpha" else file(style.mask),
            )
            for style in self.styles
        )
        is_fast = self.settings.method == "fast"  # one pass has no initial image
        init = None if is_fast else file(self.init)
        settings = self.settings if self.task == "stylize" else self.settings.from_noise()
        return Job(
            task=self.task,
            content=None if self.task == "texture" else file(self.content),
            styles=styles if self.task != "reconstruct" else (),
            init=init,
            keep=None if is_fast else file(self.keep),
            detail=None if is_fast else file(self.detail),
            settings=settings if init is None else settings.replace(init=init.name),
            outputs=outputs,
            parent=parent,
        )


def changed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, as JSON, that differ from the default."""
    default = default_values()
    return {name: value for name, value in settings.items() if value != default.get(name)}


@functools.cache
def default_values() -> Mapping[str, Any]:
    """The default settings as JSON."""
    return MappingProxyType(default_settings().model_dump(mode="json"))


def outputs_in(folder: Path, number: int, *, timelapse: bool) -> JobOutputs:
    """The files of a job, in a folder of its own."""
    return JobOutputs(
        result=str(folder / f"{number}.png"),
        checkpoint=str(folder / "checkpoint"),
        log=str(folder / "losses.jsonl"),
        preview=str(folder / "preview.jpg"),
        preview_every=PREVIEW_EVERY,
        preview_edge=PREVIEW_EDGE,
        timelapse=str(folder / "timelapse.webp") if timelapse else None,
    )
