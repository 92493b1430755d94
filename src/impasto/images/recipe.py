"""The recipe: a record of inputs, settings and environment that every output embeds, so that it can be reproduced.

Read back from a file, it is untrusted input.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import RecipeError, SettingError, printable
from impasto.settings.model import Settings, one_line
from impasto.settings.schedule import scales
from impasto.version import __version__

Task = Literal["stylize", "texture", "reconstruct"]
Recolor = Literal["luminance", "content"]

ALPHA: Final = "alpha"
"""The mask that is the content image's own alpha channel; on the command line a file of that name is "./alpha"."""

MAX_WEIGHT: Final = 1e12
"""The largest weight of a style image in a mixture."""
_MAX_CHARACTERS = 1_000_000  # a recipe that a run writes has a few thousand


def environment() -> dict[str, Any]:
    """The fields for versions and thread count, on which the last bits of a result depend."""
    import torch  # here, since the CLI needs only the types of this module

    return {"impasto": __version__, "torch": torch.__version__, "threads": torch.get_num_threads()}


class InputRecord(BaseModel):
    """An input image: its file name without the folder, and the SHA-256 of the file's bytes, "" if it has no file."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(max_length=4000)
    sha256: str = Field(pattern=r"^([0-9a-f]{64})?$")


class StyleRecord(InputRecord):
    """A style image, its weight in the mixture, and its style mask: an image, or the alpha of the content image."""

    weight: float = Field(1.0, gt=0, le=MAX_WEIGHT, allow_inf_nan=False)
    mask: InputRecord | Literal["alpha"] | None = None


class RecolorRecord(BaseModel):
    """A recoloring of a finished image: `image` was given the colors of `content`."""

    model_config = ConfigDict(frozen=True)

    color: Recolor
    # the aliases are the names in recipes of version 0.1.0
    image: InputRecord = Field(validation_alias=AliasChoices("image", "picture"))
    content: InputRecord = Field(validation_alias=AliasChoices("content", "photo"))


class Recipe(BaseModel):
    """How an output image was made.

    `steps_done` is less than the steps of all scales if the run was interrupted. `loss` is evaluated on the quantized
    output image; its terms but `total` are unweighted. `recolored` lists later recolorings; all other fields describe
    the image before them.
    """

    model_config = ConfigDict(frozen=True)

    impasto: str
    torch: str
    task: Task
    settings: Settings
    steps_done: int = Field(ge=0)
    content: InputRecord | None
    styles: tuple[StyleRecord, ...] = Field(max_length=1000)
    init: InputRecord | None
    keep: InputRecord | None = None
    detail: InputRecord | None = None
    parent: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="The id of the job that this one continues.")
    faces: int = Field(0, ge=0, description="Faces found in the content image, unless they are treated like the rest.")
    weights: str = Field(pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of the weights file.")
    device: str = Field(pattern="^[a-z]{1,20}$", description="Kind of device, without an index.")
    precision: str = Field(pattern="^(float32|tf32|bfloat16)$")
    ncnn: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        (), max_length=100, description="Convolutions that ncnn evaluated; torch evaluated the others."
    )
    threads: int
    strips: tuple[Annotated[int, Field(ge=1)] | None, ...] = Field(
        (), max_length=1000, description="Rows evaluated at a time, per scale; null is all."
    )
    loss: dict[str, float]
    recolored: tuple[RecolorRecord, ...] = Field(
        default=(), max_length=1000, description="Later recolorings, in order."
    )

    @model_validator(mode="after")
    def _check_steps_done(self) -> "Recipe":
        total = sum(scale.steps for scale in scales(self.settings))
        if self.steps_done > total:
            raise ValueError(f"steps_done: got {self.steps_done}, more than its {total} steps")
        return self

    @property
    def is_complete(self) -> bool:
        """Whether all steps were done."""
        if self.settings.method == "fast":
            return True
        used = scales(self.settings)[-len(self.strips) :]  # the coarsest are skipped if an image is too narrow for them
        return self.steps_done == sum(scale.steps for scale in used)

    @property
    def pictures(self) -> dict[str, InputRecord]:
        """All input images by role: content, init, keep, detail, style 1, mask 1, ..."""
        records: dict[str, object] = {name: getattr(self, name) for name in ("content", "init", "keep", "detail")}
        for number, style in enumerate(self.styles, 1):
            records |= {f"style {number}": style, f"mask {number}": style.mask}
        return {role: record for role, record in records.items() if isinstance(record, InputRecord)}

    @classmethod
    def parse(cls, content: dict[str, Any], where: str) -> "Recipe":
        """Validate the JSON object `content` from the file `where`.

        Raises:
            RecipeError: not a recipe of impasto, or one of another version.
        """
        try:
            return cls.model_validate(_as_written_today(content))
        except (ValidationError, SettingError) as error:
            complaint = one_line(error) if isinstance(error, ValidationError) else str(error)
            advice, version = "start over", content.get("impasto")
            if isinstance(version, str) and version != __version__:
                advice = (
                    f"it was made by impasto {printable(version[:40])}, this is {__version__}: use that, or start over"
                )
            raise RecipeError(f"{where}: its recipe cannot be used ({complaint[:300]}); {advice}") from error


def _as_written_today(content: dict[str, Any]) -> dict[str, Any]:
    """A recipe with settings as they are named and stated since 0.2.0, so that older results can be rerun."""
    settings = content.get("settings")
    if not isinstance(settings, dict):
        return content
    # all earlier runs took all steps up to 512 pixels, and treated faces and flat areas like the rest
    settings = {"full_steps_scale": 512, "faces": "off", "adaptive_content": 0.0, "grain_weight": 0.0, **settings}
    if (loss := settings.get("style_loss")) in ("moments", "neighbours"):
        settings["style_loss"] = {"moments": "wasserstein", "neighbours": "nearest"}[loss]
    return {**content, "settings": settings}


def to_json(recipe: Mapping[str, Any]) -> str:
    """JSON in ASCII with \\u escapes, the only encoding of EXIF user comments that all readers agree on.

    Raises:
        RecipeError: it is not JSON.
    """
    try:
        return json.dumps(dict(recipe), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(f"the recipe is not JSON ({error}); keep to text, finite numbers, lists and dicts") from error


def from_json(text: str, where: str) -> dict[str, Any]:
    """Parse the untrusted recipe text from the file `where`.

    Raises:
        RecipeError: too long, or not a JSON object.
    """
    if len(text) > _MAX_CHARACTERS:
        raise RecipeError(f"{where}: its recipe has {len(text)} characters; more than {_MAX_CHARACTERS} are not read")
    try:
        recipe = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(recipe, ensure_ascii=False).encode()  # fails on unpaired surrogates, which cannot be printed
    except (ValueError, RecursionError) as error:
        reason = printable(str(error)[:100])
        raise RecipeError(f"{where}: its recipe is damaged ({reason}); get another copy of the file") from error
    if not isinstance(recipe, dict):
        raise RecipeError(f"{where}: its recipe is a {type(recipe).__name__}, not an object; get another copy")
    return recipe


def _refuse_constant(name: str) -> float:
    """Called for NaN and infinities, which Python's parser accepts although JSON has none."""
    raise ValueError(f"{name} is not JSON")
