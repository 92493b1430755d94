"""The commands. Each is a function of the library with the same words; torch is loaded where it is needed."""

from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from impasto.cli import report
from impasto.cli.flags import RunFlags, SettingsFlags, resolve
from impasto.cli.work import paint

if TYPE_CHECKING:
    from impasto.run import Run
    from impasto.vgg import VGG19

app = App(
    name="impasto",
    help="Paints one picture in the manner of another: neural style transfer with VGG19.",
    version=lambda: metadata.version("impasto"),
    help_format="plaintext",
)

Input = Annotated[Path, Parameter(help="PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF.", negative=())]
Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Where to: .png, .jpg, .webp or .tiff.")]
AsJson = Annotated[bool, Parameter(help="As JSON.", negative=())]

DEMO = resources.files("impasto") / "demo"
DEMO_SIZE, DEMO_STEPS = 320, 60
"""What two cores without bfloat16 paint in under a minute."""


@app.command
def stylize(
    photo: Input,
    painting: Input,
    /,
    *more: Input,
    output: Output,
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: RunFlags = RunFlags(),  # noqa: B008
) -> int:
    """Paint PHOTO in the manner of PAINTING; of several paintings, in equal shares."""
    chosen = resolve(settings, how.preset)
    return _paint(photo, [painting, *more], chosen, output, how)


@app.command
def texture(
    painting: Input,
    /,
    *more: Input,
    output: Output,
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: RunFlags = RunFlags(),  # noqa: B008
) -> int:
    """Paint the manner of PAINTING alone, from white noise: its texture without its things."""
    chosen = resolve(settings, how.preset)
    return _paint(None, [painting, *more], chosen.from_noise(), output, how)


@app.command
def reconstruct(
    photo: Input,
    /,
    *,
    layer: Annotated[str, Parameter(help="Layer of VGG19, such as block4_conv2.")] = "block4_conv2",
    output: Output,
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: RunFlags = RunFlags(),  # noqa: B008
) -> int:
    """Paint what a layer of the network knows of PHOTO, from white noise."""
    chosen = resolve(settings, how.preset)
    return _paint(photo, [], chosen.from_noise().reading_layer(layer), output, how)


@app.command
def demo(
    *,
    style: Annotated[Literal["swirls", "waves", "glass"], Parameter(help="Which of the bundled paintings.")] = "swirls",
    output: Output = Path("impasto-demo.png"),
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: RunFlags = RunFlags(overwrite=True),  # noqa: B008
) -> int:
    """Paint a bundled photograph in a bundled style: in under a minute on two cores."""
    chosen = resolve(settings, how.preset, size=DEMO_SIZE, steps=DEMO_STEPS)
    with resources.as_file(DEMO) as folder:
        return _paint(folder / "portrait.jpg", [folder / f"{style}.jpg"], chosen, output, how)


@app.command
def rerun(
    result: Input,
    /,
    *inputs: Annotated[Path, Parameter(help="Pictures that went in, or folders to look for them.", negative=())],
    output: Output,
    how: RunFlags = RunFlags(),  # noqa: B008
) -> int:
    """Paint RESULT again, from the recipe that it carries; INPUTS are told by their hashes, whatever their names."""
    from impasto import repeat

    def prepare() -> "Run":
        with resources.as_file(DEMO) as folder:
            return repeat.prepare(result, [*inputs, result.parent, Path(), folder], how.weights)

    return paint(prepare, output, how, [result, *inputs])


@app.command
def inspect(result: Input, /) -> int:
    """Print the recipe that RESULT carries, as JSON."""
    return report.inspect(result)


@app.command
def presets(name: str | None = None, /) -> int:
    """List the presets, or print NAME, a preset's file, to copy and change."""
    return report.presets(name)


weights = App(name="weights", help="What weights there are, which a run would use, and `weights download`.")
app.command(weights)


@weights.default
def list_weights(*, json: AsJson = False) -> int:
    """List the weights that a run could use."""
    return report.weights(as_json=json)


@weights.command
def download() -> int:
    """Fetch Keras' file in full precision (80 MB) into the cache; from then on it is used."""
    return report.download()


@app.command
def info(
    *, size: Annotated[int, Parameter(help="Long edge in pixels of the run to estimate.")] = 512, json: AsJson = False
) -> int:
    """Print versions, device, threads and memory, and what a run of --size would need."""
    return report.info(size, as_json=json)


def _paint(photo: Path | None, paintings: list[Path], chosen: Any, output: Path, how: RunFlags) -> int:
    def prepare() -> "Run":
        from impasto import painting

        return painting.prepare(photo, paintings, chosen, vgg=_network(how))

    return paint(prepare, output, how, [*paintings, *([photo] if photo else [])])


def _network(how: RunFlags) -> "VGG19":
    from impasto.vgg import VGG19

    return VGG19.load(how.weights, device=how.device, precision=how.precision)
