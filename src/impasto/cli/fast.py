"""`impasto fast`, and `stylize` and `rerun` with the one-pass method."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto import files
from impasto.batches.inputs import images_in, skipped_in
from impasto.cli.display import Display, display
from impasto.cli.fast_batch import FastBatch, Stylize
from impasto.cli.image_options import MaskOptions, MoreStyles, check_image_output, split_weight
from impasto.cli.option_groups import MAIN
from impasto.cli.run_options import (
    CheckpointOptions,
    ComputeOptions,
    JsonEvents,
    Overwrite,
    Quiet,
    RerunOptions,
    options_class,
)
from impasto.cli.settings_options import SettingsOptions, given_settings, option_name, resolve, settings_options
from impasto.cli.stop_signals import stop_signals
from impasto.cli.streams import PIPE, piped
from impasto.errors import JobError, OutputError, PictureError, SettingError, printable
from impasto.events import Saved
from impasto.jobs.job import Job
from impasto.settings.model import Settings
from impasto.settings.presets import preset

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.jobs.rerun import RerunInputs

SETTINGS = ("size", "strength", "color", "depth", "dither")
"""The settings that the one-pass method uses."""

if TYPE_CHECKING:

    class FastSettingsOptions(SettingsOptions):
        """A field for each of them."""
else:
    FastSettingsOptions = settings_options("FastSettingsOptions", SETTINGS, preset(), size="that of CONTENT")

Resolve = Callable[[Settings], Settings]
"""The settings for a content image, from the defaults for its size."""


@options_class
@dataclass(frozen=True)
class FastOptions(ComputeOptions):
    """Options of the one-pass method."""

    also: Annotated[
        list[Path] | None,
        Parameter(
            metavar="CONTENT...",
            group=MAIN,
            help="Further content images; the network is loaded once, --output is a FOLDER.",
            consume_multiple=True,
        ),
    ] = None
    watch: Annotated[
        bool, Parameter(group=MAIN, help="CONTENT is a FOLDER: stylize every image that appears in it, until Ctrl-C.")
    ] = False
    json: JsonEvents = False
    quiet: Quiet = False
    overwrite: Overwrite = False


def fast(
    content: Annotated[
        Path,
        Parameter(help="Content image, a FOLDER of them, or - for standard input."),
    ],
    style: Annotated[
        Path,
        Parameter(
            help="Style image, FILE=0.7 sets its weight in a mixture; or a network that `impasto distill` trained.",
            negative=(),
        ),
    ],
    /,
    *more_styles: MoreStyles,
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"],
            metavar="FILE",
            group=MAIN,
            help="Output image, a FOLDER for several, or - for a PNG on standard output.",
        ),
    ],
    settings: FastSettingsOptions = FastSettingsOptions(),  # noqa: B008
    options: FastOptions = FastOptions(),
) -> int:
    """Stylize CONTENT by a feed-forward network, without optimization: in about a second, at the size of CONTENT."""
    return _stylize_images(content, [style, *more_styles], lambda base: resolve(settings, base), output, options)


def stylize_in_one_pass(  # noqa: PLR0917
    content: Path, styles: Sequence[Path], settings: Settings, output: Path, options: RerunOptions, masks: MaskOptions
) -> int:
    """`impasto stylize` with --method fast; the exit status."""
    _refuse_step_options(options)
    if masks.mask or masks.keep or masks.detail_mask:
        raise SettingError(
            "--mask, --keep, --detail-mask: got one, but --method fast does not support masks; leave it out"
        )
    return _stylize_images(content, styles, lambda _: settings, output, _fast_options(options))


def run_fast_job(job: Job, options: CheckpointOptions) -> int:
    """`impasto run` of a job of the one-pass method; the exit status."""
    if options.resume:
        raise SettingError("--resume: got one, but the one-pass method takes no steps; leave it out")
    masks = [style.mask for style in job.styles if style.mask is not None]
    if job.content is None or masks or any((job.keep, job.detail, job.init)):
        raise JobError("the one-pass method takes a content image and styles without masks; change the job")
    styles = [Path(f"{style.path}={style.weight!r}" if style.weight != 1 else style.path) for style in job.styles]
    output = Path(job.outputs.result)
    return _stylize_images(Path(job.content.path), styles, lambda _: job.settings, output, _fast_options(options))


def _fast_options(options: CheckpointOptions) -> FastOptions:
    return FastOptions(
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        memory_limit=options.memory_limit,
        json=options.json,
        quiet=options.quiet,
        overwrite=options.overwrite,
    )


def check_settings(options: SettingsOptions) -> None:
    """Reject options of settings that the one-pass method does not use; those that a preset sets are ignored.

    Raises:
        SettingError: naming the first of them.
    """
    for name in given_settings(options):
        if name not in {*SETTINGS, "method"}:
            raise SettingError(f"{option_name(name)}: got one, but --method fast does not use it; leave it out")


def _refuse_step_options(options: RerunOptions) -> None:
    for name in ("preview", "timelapse", "log", "checkpoint", "resume"):
        if getattr(options, name):
            raise SettingError(f"--{name}: got one, but the one-pass method takes no steps; leave it out")


def rerun_in_one_pass(inputs: "RerunInputs", output: Path, options: RerunOptions, originals: Sequence[Path]) -> int:
    """`impasto rerun` of a result of the one-pass method; `originals` are files that must not be overwritten."""
    from impasto.jobs.claims import claimed
    from impasto.jobs.rerun import Overrides, rerun_fast
    from impasto.jobs.saving import save_result

    _refuse_step_options(options)
    depth = inputs.recipe.settings.depth
    check_image_output(output, overwrite=options.overwrite, inputs=originals, depth=depth)
    with claimed([output]), display(as_json=options.json, quiet=options.quiet) as show:
        overrides = Overrides(options.device, options.precision, options.threads, options.memory)
        picture = rerun_fast(inputs, overrides, show)
        save_result(picture.save, output, overwrite=options.overwrite)
        show(Saved(printable(output)))
    return 0


def _stylize_images(
    content: Path, styles: Sequence[Path], resolve_settings: Resolve, output: Path, options: FastOptions
) -> int:
    """Stylize `content`: a file, a folder, or standard input.

    Raises:
        ImpastoError: before any work, or for a single content image.
        BatchError: at the end, if some of several images failed.
    """
    contents = _content_files(content, options)
    several = options.watch or len(contents) > 1 or os.path.isdir(content)
    if several:
        _check_output_folder(output)
        if PIPE in contents:
            raise SettingError("-: a pipe carries one image and nothing else; leave out all other content images")
    weighted = [split_weight(style) for style in styles]
    depth = resolve_settings(Settings()).depth  # a value out of range is refused before the network is loaded
    with (
        piped([*contents, *(path for path, _ in weighted)], output, json=options.json) as (inputs, target),
        display(as_json=options.json, quiet=options.quiet) as show,
        stop_signals("stopping after this image") as received,
    ):
        if not several:
            check_image_output(target, overwrite=options.overwrite, inputs=inputs, depth=depth)
        style_files = inputs[len(contents) :]
        weights = (weight for _, weight in weighted)
        stylize = _stylizer(list(zip(style_files, weights, strict=True)), resolve_settings, options, show)
        batch = FastBatch(target, inputs, options.overwrite, depth, stylize, show, received)
        if several:
            _stylize_several(batch, content, contents, watch=options.watch)
        else:
            batch.stylize_one(inputs[0], target, overwrite=options.overwrite)
    return 128 + received[0] if received else 0


def _stylize_several(batch: FastBatch, content: Path, contents: Sequence[Path], *, watch: bool) -> None:
    os.makedirs(batch.output, exist_ok=True)
    if watch:
        batch.watch(content)
    else:
        batch.stylize_all(contents, skipped_in(content) if os.path.isdir(content) else [])


def _check_output_folder(output: Path) -> None:
    if os.path.isdir(output):
        return
    if output == PIPE or os.path.lexists(output):
        raise OutputError(f"{printable(output)}: is not a folder; give one for several images")
    files.check_output(output, overwrite=False)  # a folder can be created where a file could be


def _content_files(content: Path, options: FastOptions) -> list[Path]:
    """The content images to start with; none if a folder is watched."""
    if options.watch:
        if not os.path.isdir(content) or options.also:
            raise SettingError(f"--watch: got {printable(content)!r}; give one FOLDER in which images appear")
        return []
    images = images_in(content) if os.path.isdir(content) else [content]
    if not images:
        raise PictureError(
            f"{printable(content)}: contains no images; give another folder, or --watch to wait for images"
        )
    return [*images, *(options.also or ())]


def _stylizer(
    styles: Sequence[tuple[Path, float]], resolve_settings: Resolve, options: FastOptions, show: Display
) -> Stylize:
    """The function that stylizes one image; the network and the style images are loaded once."""
    from impasto import Style
    from impasto.feedforward import one_pass, stylizer

    options.compute.set_threads()
    load = options.compute.loader()
    network = stylizer.network_for([path for path, _ in styles], options.device, options.precision)
    one_style = isinstance(network, stylizer.SingleStyleNetwork)  # trained for one style: its file stands for the style
    loaded = [path if one_style else Style(load(path), weight) for path, weight in styles]

    def stylize(path: Path) -> "Picture":
        content = load(path)
        settings = resolve_settings(preset().replace(size=max(content.height, content.width)))
        return one_pass.fast(
            content, loaded, settings, network=network, memory=options.memory, reuse=True, on_event=show
        )

    return stylize
