"""The commands. Each is a function of the library with the same words; torch is loaded where it is needed."""

import dataclasses
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from impasto.cli import distilling, onepass, recoloring, report, study
from impasto.cli.flags import (
    AsJson,
    ImageArgument,
    MachineFlags,
    MaskFlags,
    PaintFlags,
    PresetName,
    RunFlags,
    SettingsFlags,
    StyleArgument,
    resolve,
    share_of,
)
from impasto.cli.recoloring import RecolorFlag, SaveFlags
from impasto.cli.work import execute_run
from impasto.errors import SettingError
from impasto.settings.model import Settings
from impasto.settings.presets import preset, read
from impasto.version import __version__

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.optimize.checkpoint import Checkpoint
    from impasto.optimize.run import Run
    from impasto.vgg.model import VGG19

app = App(
    name="impasto",
    help="Paints one picture in the manner of another: neural style transfer with VGG19.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` tells of it
)

Output = Annotated[Path, Parameter(name=["--output", "-o"], help="Where to: .png, .jpg, .webp or .tiff.")]

DEMO = resources.files("impasto") / "demo"
DEMO_SIZE, DEMO_STEPS = 320, 50
"""What two cores without bfloat16 paint in under a minute."""
DEMO_OUTPUT = Path("impasto-demo.png")
"""Replaced without being asked: it is nobody else's."""


@app.command
def stylize(
    photo: ImageArgument,
    painting: StyleArgument,
    /,
    *more: StyleArgument,
    output: Output,
    where: MaskFlags = MaskFlags(),  # noqa: B008
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: PaintFlags = PaintFlags(),  # noqa: B008
) -> int:
    """Paint PHOTO in the manner of PAINTING; of several paintings in a mixture of them, or each in its region."""
    chosen = resolve(settings, preset(how.preset))
    if chosen.method == "fast":
        onepass.check_given(settings)
        return onepass.stylize(photo, [painting, *more], chosen, output, how, where)
    return _paint(photo, [painting, *more], chosen, output, how, where)


@app.command
def texture(
    painting: StyleArgument,
    /,
    *more: StyleArgument,
    output: Output,
    seamless: Annotated[bool, Parameter(help="Edges that meet, for tiles: --padding circular.", negative=())] = False,
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: PaintFlags = PaintFlags(),  # noqa: B008
) -> int:
    """Paint the manner of PAINTING alone, from white noise: its texture without its things."""
    chosen = resolve(settings, preset(how.preset).from_noise())
    if seamless:
        chosen = chosen.replace(padding="circular")
    return _paint(None, [painting, *more], chosen, output, how)


@app.command
def reconstruct(
    photo: ImageArgument,
    /,
    *,
    layer: Annotated[str, Parameter(help="Layer of VGG19, such as block4_conv2.")] = "block4_conv2",
    output: Output,
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: PaintFlags = PaintFlags(),  # noqa: B008
) -> int:
    """Paint what a layer of the network knows of PHOTO, from white noise."""
    if settings.content_layers is not None:
        raise SettingError("--content-layer: a reconstruction reads one layer; give it with --layer")
    chosen = resolve(settings, preset(how.preset).from_noise().with_content_layer(layer))
    return _paint(photo, [], chosen, output, how)


@app.command
def demo(
    *,
    style: Annotated[Literal["swirls", "waves", "glass"], Parameter(help="Which of the bundled paintings.")] = "swirls",
    output: Output = DEMO_OUTPUT,
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: PaintFlags = PaintFlags(),  # noqa: B008
) -> int:
    """Paint a bundled photograph in a bundled style: in under a minute on two cores."""
    if output == DEMO_OUTPUT:
        how = dataclasses.replace(how, overwrite=True)
    chosen = resolve(settings, preset(how.preset).replace(size=DEMO_SIZE, steps=DEMO_STEPS))
    with resources.as_file(DEMO) as folder:
        return _paint(folder / "portrait.jpg", [folder / f"{style}.jpg"], chosen, output, how)


@app.command
def rerun(
    result: ImageArgument,
    /,
    *inputs: Annotated[Path, Parameter(help="Pictures that went in, or folders to look for them.", negative=())],
    output: Output,
    how: RunFlags = RunFlags(),  # noqa: B008
) -> int:
    """Paint RESULT again, from the recipe that it carries; INPUTS are told by their hashes, whatever their names."""
    from impasto.jobs.rerun import find_inputs, recreate_run

    with resources.as_file(DEMO) as folder:
        found = find_inputs(result, [*inputs, result.parent, Path(), folder])
        originals = [result, *inputs, *found.files.values()]
        if found.recipe.settings.method == "fast":
            return onepass.rerun(found, output, how, originals)

        def create(resume_from: "Checkpoint | None") -> "Run":
            return recreate_run(
                found,
                how.weights,
                device=how.device,
                precision=how.precision,
                threads=_threads(how, resume_from),
                memory=how.memory,
                strips=None if resume_from is None else resume_from.strips,
            )

        return execute_run(create, output, how, originals, found.recipe.settings.depth)


for command in (onepass.fast, distilling.distill, study.sweep, study.plot, study.compare):
    app.command(command)


@app.command
def recolor(
    picture: ImageArgument,
    photo: ImageArgument,
    /,
    *,
    color: RecolorFlag = "luminance",
    output: Output,
    how: SaveFlags = SaveFlags(),  # noqa: B008
) -> int:
    """Bring PICTURE, a painted one or any other, to the colors of PHOTO: a second, nothing is painted again."""
    return recoloring.recolor(picture, photo, color, output, how)


@app.command
def inspect(result: ImageArgument, /) -> int:
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
    *,
    settings: SettingsFlags = SettingsFlags(),  # noqa: B008
    how: MachineFlags = MachineFlags(),  # noqa: B008
    preset: PresetName = "painterly",
    json: AsJson = False,
) -> int:
    """Print versions, device, threads and memory, and what a run with these settings would need."""
    return report.info(resolve(settings, read(preset).settings), how, as_json=json)


def _paint(  # noqa: PLR0917
    photo: Path | None,
    paintings: list[Path],
    chosen: Settings,
    output: Path,
    how: PaintFlags,
    where: MaskFlags = MaskFlags(),  # noqa: B008
) -> int:
    shares = [share_of(each) for each in paintings]
    masks = where.matched(len(paintings))

    def prepare(found: "Checkpoint | None") -> "Run":
        import torch

        from impasto import Style, api, load

        if (threads := _threads(how, found)) is not None:
            torch.set_num_threads(threads)
        strips = None if found is None else found.strips
        content = None if photo is None else load(photo)
        styles = [
            Style(load(path), weight, _mask(mask, content)) for (path, weight), mask in zip(shares, masks, strict=True)
        ]
        return api.create_run(
            content, styles, chosen, keep=where.keep, vgg=_network(how), memory=how.memory, strips=strips
        )

    inputs = [photo, *(path for path, _ in shares), *masks, where.keep, chosen.init, how.preset, how.weights]
    return execute_run(prepare, output, how, [Path(each) for each in inputs if each is not None], chosen.depth)


def _mask(mask: Path | None, photo: "Picture | None") -> "Picture | None":
    from impasto import load
    from impasto.images import masks

    if mask is None or photo is None:
        return None
    return masks.alpha_mask(photo) if str(mask) == masks.ALPHA else load(mask)


def _threads(how: RunFlags, found: "Checkpoint | None") -> int | None:
    """The number of threads requested, or that of the run that is resumed."""
    return found.threads if how.threads is None and found is not None else how.threads


def _network(how: RunFlags) -> "VGG19":
    from impasto.vgg.model import VGG19

    return VGG19.load(how.weights, device=how.device, precision=how.precision)
