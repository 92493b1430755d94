"""`Job`: a serializable description of one image to be made - task, inputs, settings, outputs - and its JSON.

A job names inputs as a recipe does, and their files as well: a recipe is the record of a finished job. A job that is
read back is untrusted input.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from impasto import storage
from impasto.errors import JobError, SettingError, printable
from impasto.files import real_path
from impasto.images.recipe import ALPHA, MAX_WEIGHT, Recipe, StyleRecord, Task
from impasto.input_files import read_limited, sha256_of
from impasto.settings.model import INITS, Settings, one_line
from impasto.storage import is_uri

_MAX_BYTES = 1_000_000  # a job that impasto writes has a few thousand
_FROZEN = ConfigDict(frozen=True, extra="forbid")
_NO_PATHS = {"preview_every", "preview_edge"}


def _path_text(value: object) -> str:
    """A path or URI; pydantic's own text has no bytes that are not UTF-8, but names of files may."""
    if not isinstance(value, str) or not value:
        raise ValueError("give a path or URI as text")
    return value


Share = tuple[float, bool]
"""The weight of a style image, and whether its mask is the alpha channel of the content image."""
PathText = Annotated[str, PlainValidator(_path_text)]


class InputFile(BaseModel):
    """A file of an input.

    Attributes:
        path: its path or URI.
        sha256: of its bytes; "": whatever the file holds.
        name: in the recipe and in messages; "": that of the path.
    """

    model_config = _FROZEN

    path: PathText
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    name: str = Field(default="", max_length=255)

    def check(self, digest: str) -> None:
        """Compare the SHA-256 of what was read with that of the job.

        Raises:
            JobError: the file has changed since the job was created.
        """
        if self.sha256 not in {"", digest}:
            raise JobError(
                f"{printable(self.name or self.path)}: has changed since the job was created; create the job again, or "
                f"restore the file with the SHA-256 {self.sha256[:12]}..."
            )


class StyleFile(InputFile):
    """A style image, its weight in the mixture, and its style mask: a file, or the alpha of the content image."""

    weight: float = Field(default=1.0, gt=0, le=MAX_WEIGHT, allow_inf_nan=False)
    mask: InputFile | Literal["alpha"] | None = None


class JobOutputs(BaseModel):
    """The files that a job writes, by path or URI: `result`, and what else is asked for.

    The preview is saved every `preview_every` steps, with a long edge of at most `preview_edge` pixels; None: any.
    """

    model_config = _FROZEN

    result: PathText
    checkpoint: PathText | None = None
    log: PathText | None = None
    preview: PathText | None = None
    preview_every: int = Field(default=25, ge=1)
    preview_edge: int | None = Field(default=None, ge=1)
    timelapse: PathText | None = None

    def with_paths(self, change: Callable[[str, str], str]) -> "JobOutputs":
        """A copy in which `change(role, path)` stands for every path."""
        paths = {role: path for role, path in self.model_dump(exclude=_NO_PATHS).items() if path is not None}
        return self.model_copy(update={role: change(role, path) for role, path in paths.items()})


class Job(BaseModel):
    """One image to be made. Frozen; equal work has an equal `id`, wherever its files are.

    Attributes:
        task: stylize, texture or reconstruct.
        content, styles, init, keep, detail: the inputs, as in `impasto.stylize`.
        settings: all of them; `init` names no file, which is in the field `init` of the job.
        outputs: the files that are written.
        parent: the id of the job that this one continues.
    """

    model_config = _FROZEN

    task: Task = "stylize"
    content: InputFile | None = None
    styles: tuple[StyleFile, ...] = Field(default=(), max_length=1000)
    init: InputFile | None = None
    keep: InputFile | None = None
    detail: InputFile | None = None
    settings: Settings
    outputs: JobOutputs
    parent: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _check_inputs(self) -> "Job":
        missing = [
            role
            for role, is_missing in (
                ("content", self.content is None and self.task != "texture"),
                ("styles", not self.styles and self.task != "reconstruct"),
                ("init", self.init is None and self.settings.init not in INITS),
            )
            if is_missing
        ]
        if missing:
            raise ValueError(f"{missing[0]}: is missing; the task {self.task} needs it")
        if self.init is not None and self.settings.init in INITS:
            raise ValueError(f"init: got a file, but settings.init is {self.settings.init!r}; leave one of them out")
        return self

    @property
    def inputs(self) -> dict[str, InputFile]:
        """All input files by role: content, init, keep, detail, style 1, mask 1, ..."""
        files: dict[str, object] = {role: getattr(self, role) for role in ("content", "init", "keep", "detail")}
        for number, style in enumerate(self.styles, 1):
            files |= {f"style {number}": style, f"mask {number}": style.mask}
        return {role: file for role, file in files.items() if isinstance(file, InputFile)}

    @property
    def paths(self) -> list[str]:
        """The paths and URIs of all inputs and of the named outputs."""
        outputs = self.outputs.model_dump(exclude=_NO_PATHS).values()
        return [*(file.path for file in self.inputs.values()), *(path for path in outputs if path is not None)]

    @property
    def id(self) -> str:
        """SHA-256, hexadecimal, of what determines the image: task, settings, the contents of the inputs, parent.

        Raises:
            JobError: an input without its SHA-256; see `hashed`.
        """
        if unknown := [role for role, file in self.inputs.items() if not file.sha256]:
            raise JobError(f"{unknown[0]}: its SHA-256 is not known yet; use `Job.hashed`")
        hashes = {role: file.sha256 for role, file in self.inputs.items()}
        return job_id(self.task, hashes, shares(self.styles), settings_text(self.settings), self.parent)

    def hashed(self) -> "Job":
        """The job with the SHA-256 of every input.

        Raises:
            JobError: an input that cannot be read.
        """
        return self.with_files(lambda _, file: file.model_copy(update={"sha256": file.sha256 or file_hash(file.path)}))

    def to_json(self) -> str:
        """The job as one JSON object in ASCII, in one line."""
        return json.dumps(self.model_dump())

    def confined(self, base: Path, allowed: Sequence[str | os.PathLike[str]]) -> "Job":
        """The job with absolute paths; relative ones start at `base`.

        Raises:
            JobError: a file that is not in one of the folders, or does not begin with one of the URIs, in `allowed`.
        """

        def inside(role: str, path: str) -> str:
            return _confined(path, role=role, base=base, allowed=[os.fspath(place) for place in allowed])

        job = self.with_files(lambda role, file: file.model_copy(update={"path": inside(role, file.path)}))
        return job.model_copy(update={"outputs": self.outputs.with_paths(inside)})

    def with_files(self, change: Callable[[str, InputFile], InputFile]) -> "Job":
        """A copy in which `change(role, file)` stands for every input file."""
        changes: dict[str, Any] = {
            role: change(role, file)
            for role in ("content", "init", "keep", "detail")
            if (file := getattr(self, role)) is not None
        }
        styles = []
        for number, style in enumerate(self.styles, 1):
            mask = change(f"mask {number}", style.mask) if isinstance(style.mask, InputFile) else style.mask
            changed = change(f"style {number}", style)
            styles.append(style.model_copy(update={"path": changed.path, "sha256": changed.sha256, "mask": mask}))
        return self.model_copy(update={**changes, "styles": tuple(styles)})

    @classmethod
    def parse(cls, text: str | bytes, where: str = "the job") -> "Job":
        """Read a job from JSON.

        Raises:
            JobError: not a job; the message begins with `where`.
        """
        try:
            return cls.model_validate(json.loads(text))
        except (ValueError, RecursionError, SettingError) as error:
            complaint = one_line(error) if isinstance(error, ValidationError) else str(error)
            raise JobError(f"{where}: is not a job ({printable(complaint[:300])}); see docs/jobs.md") from error

    @classmethod
    def read(cls, path: Path) -> "Job":
        """Read a job from a file, its paths as they are there; see `confined`.

        Raises:
            JobError: it cannot be read, or is not a job.
        """
        try:
            text = read_limited(path, _MAX_BYTES)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise JobError(f"{printable(path)}: cannot be read ({reason}); give a file with a job as JSON") from error
        return cls.parse(text, printable(path))


def job_id(
    task: str, hashes: Mapping[str, str], mixture: Iterable[Share], settings: str, parent: str | None = None
) -> str:
    """The id of a job: SHA-256 of what determines its image, hexadecimal.

    Args:
        hashes: role of each input -> SHA-256 of its bytes.
        mixture: the style images.
        settings: `settings_text`.
    """
    parts = [task, *(f"{role}={digest}" for role, digest in sorted(hashes.items()))]
    parts += [f"{float(weight)} {is_alpha}" for weight, is_alpha in mixture]
    return hashlib.sha256("\n".join([*parts, f"parent={parent}", settings]).encode()).hexdigest()


def settings_text(settings: Settings) -> str:
    """All settings as canonical JSON; the name of a file with the initial image is left out."""
    values = settings.model_dump(mode="json")
    if settings.init not in INITS:
        values["init"] = "file"
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def recipe_id(recipe: Recipe, settings: Settings | None = None) -> str:
    """The id of the job that a recipe records; `settings` stand for its own if given."""
    hashes = {role: record.sha256 for role, record in recipe.pictures.items()}
    return job_id(recipe.task, hashes, shares(recipe.styles), settings_text(settings or recipe.settings), recipe.parent)


def shares(styles: Iterable[StyleFile | StyleRecord]) -> list[Share]:
    """The share of each style image."""
    return [(style.weight, style.mask == ALPHA) for style in styles]


def file_hash(path: str) -> str:
    """The SHA-256 of a regular file, or of a file at a URI, hexadecimal.

    Raises:
        JobError: it cannot be read.
    """
    if is_uri(path):
        return storage.sha256_of(path)
    try:
        if not os.path.exists(path):
            raise JobError(f"{printable(path)}: does not exist; check the name")
        if not os.path.isfile(path):  # opening a named pipe would wait for a writer
            what = "a folder" if os.path.isdir(path) else "not a regular file"
            raise JobError(f"{printable(path)}: is {what}; give the name of an image file")
        return sha256_of(Path(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JobError(f"{printable(path)}: cannot be read ({reason}); check its name and permissions") from error


def _confined(path: str, *, role: str, base: Path, allowed: Sequence[str]) -> str:
    if is_uri(path):
        # no URI has "..", which a server might resolve to another folder
        if ".." not in path.split("/") and any(path.startswith(f"{prefix.rstrip('/')}/") for prefix in allowed):
            return path
        raise JobError(f"{role}: {printable(path)} is not at an allowed place; allow it with --allow URI")
    real = real_path(base / path)  # symbolic links do not lead out of an allowed folder
    if any(real.is_relative_to(real_path(Path(folder))) for folder in allowed if not is_uri(folder)):
        return os.fspath(real)
    raise JobError(f"{role}: {printable(path)} is outside of the allowed folders; allow its folder with --allow FOLDER")
