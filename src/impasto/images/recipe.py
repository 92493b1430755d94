"""The recipe that every output carries: all that is needed to paint it again. Read back, it is untrusted input."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import RecipeError, SettingError
from impasto.settings.model import Settings, one_line
from impasto.settings.schedule import scales
from impasto.version import __version__

Task = Literal["stylize", "texture", "reconstruct"]
Recolor = Literal["luminance", "content"]


def environment() -> dict[str, Any]:
    """The fields of a recipe that name the versions and thread count: the last bits of a result depend on them."""
    import torch  # here, since the command line needs only the types of this module

    return {"impasto": __version__, "torch": torch.__version__, "threads": torch.get_num_threads()}


class InputRecord(BaseModel):
    """A picture that went in: its file name without a folder, and the SHA-256 of its bytes."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(max_length=4000)
    sha256: str = Field(pattern=r"^([0-9a-f]{64})?$")


class StyleRecord(InputRecord):
    """A painting, its weight in the mixture, and its mask: a picture, or the photograph's alpha."""

    weight: float = Field(1.0, gt=0, le=1e12, allow_inf_nan=False)
    mask: InputRecord | Literal["alpha"] | None = None


class RecolorRecord(BaseModel):
    """What was done to a painted picture: it was brought to the colors of `photo`."""

    model_config = ConfigDict(frozen=True)

    color: Recolor
    picture: InputRecord
    photo: InputRecord


class Recipe(BaseModel):
    """How a picture was painted.

    `steps_done` is less than the steps of all scales if the run was interrupted. `loss` is that of the picture as its
    file holds it, `content`, `style` and `tv` without their weights. If it was `recolored` afterwards, all the rest is
    of the picture before that.
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
    weights: str = Field(pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of the weights' file.")
    device: str = Field(pattern="^(cpu|cuda|mps)$")
    precision: str = Field(pattern="^(float32|bfloat16)$")
    threads: int
    strips: tuple[Annotated[int, Field(ge=1)] | None, ...] = Field(
        (), max_length=1000, description="Rows evaluated at a time at each scale."
    )
    loss: dict[str, float]
    recolored: tuple[RecolorRecord, ...] = Field(
        default=(), max_length=1000, description="What was done to it since, in order."
    )

    @model_validator(mode="after")
    def _no_more_steps_than_asked_for(self) -> "Recipe":
        most = sum(scale.steps for scale in scales(self.settings))
        if self.steps_done > most:
            raise ValueError(f"steps_done: got {self.steps_done}, more than its {most} steps")
        return self

    @property
    def is_complete(self) -> bool:
        """Whether all steps were done; the coarsest scales are left out where a picture is too narrow for them."""
        if self.settings.method == "fast":
            return True
        climbed = scales(self.settings)[-len(self.strips) :]
        return self.steps_done == sum(scale.steps for scale in climbed)

    @property
    def pictures(self) -> dict[str, InputRecord]:
        """All pictures that went in, by what they are."""
        found: dict[str, object] = {"content": self.content, "init": self.init, "keep": self.keep}
        for number, style in enumerate(self.styles, 1):
            found |= {f"style {number}": style, f"mask {number}": style.mask}
        return {role: each for role, each in found.items() if isinstance(each, InputRecord)}

    @classmethod
    def parse(cls, content: dict[str, Any], where: str) -> "Recipe":
        """A recipe from the JSON object that the file `where` carries.

        Raises:
            RecipeError: it is not a recipe of this program, or of another version of it.
        """
        try:
            return cls.model_validate(content)
        except (ValidationError, SettingError) as error:
            complaint = one_line(error) if isinstance(error, ValidationError) else str(error)
            raise RecipeError(f"{where}: its recipe cannot be used ({complaint[:300]}); paint it anew") from error
