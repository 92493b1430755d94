"""The command that paints in one pass, and what other commands do where a picture is painted so."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto import files
from impasto.cli.display import Display, display
from impasto.cli.flags import (
    RUNNING,
    ComputeFlags,
    MaskFlags,
    RunFlags,
    SettingsFlags,
    flag,
    given,
    resolve,
    settings_flags,
    share_of,
)
from impasto.cli.photographs import PIPE, Paint, Photographs, check, pictures_in, piped
from impasto.cli.work import signals
from impasto.errors import OutputError, PictureError, SettingError, printable
from impasto.events import Saved
from impasto.settings.model import Settings
from impasto.settings.presets import preset

if TYPE_CHECKING:
    from impasto.images.picture import Picture
    from impasto.jobs.rerun import RerunInputs

FastStyleArgument = Annotated[
    Path,
    Parameter(help="A picture; FILE=0.7 for its weight in a mixture. Or what `impasto distill` wrote.", negative=()),
]

USED = ("size", "strength", "color", "depth", "dither")
"""Settings that one pass has a use for."""

if TYPE_CHECKING:

    class FastSettingsFlags(SettingsFlags):
        """A field for each of them."""
else:
    FastSettingsFlags = settings_flags("FastSettingsFlags", USED, preset(), size="the photograph's own")

Change = Callable[[Settings], Settings]


@Parameter(name="*", group=RUNNING, negative=())
@dataclass(frozen=True)
class FastFlags(ComputeFlags):
    """How pictures are painted in one pass."""

    also: Annotated[
        list[Path] | None,
        Parameter(
            help="More photographs, painted with the network loaded once; -o is a FOLDER.", consume_multiple=True
        ),
    ] = None
    watch: Annotated[bool, Parameter(help="PHOTO is a FOLDER: paint what appears in it, until Ctrl-C.")] = False
    json: Annotated[bool, Parameter(help="Write every event as a line of JSON to standard output.")] = False
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], help="Say nothing but errors.")] = False
    overwrite: Annotated[bool, Parameter(help="Replace files that exist.")] = False


def fast(
    photo: Annotated[
        Path, Parameter(help="A picture, a FOLDER of them, or - for standard input.", allow_leading_hyphen=True)
    ],
    painting: FastStyleArgument,
    /,
    *more: FastStyleArgument,
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"],
            help="Where to: a picture, a FOLDER for several, or - for a PNG on standard output.",
            allow_leading_hyphen=True,
        ),
    ],
    settings: FastSettingsFlags = FastSettingsFlags(),  # noqa: B008
    how: FastFlags = FastFlags(),
) -> int:
    """Paint PHOTO in the manner of PAINTING in one pass: in less than a second, at the photograph's own size."""
    return _paint(photo, [painting, *more], lambda base: resolve(settings, base), output, how)


def stylize(  # noqa: PLR0917
    photo: Path, styles: Sequence[Path], chosen: Settings, output: Path, how: RunFlags, where: MaskFlags
) -> int:
    """What the command of that name does where the settings say that it is to be done in one pass."""
    _refuse_steps(how)
    if where.mask or where.keep:
        raise SettingError("--mask, --keep: got one, but --method fast knows no regions; leave it out")
    flags = FastFlags(
        device=how.device,
        precision=how.precision,
        threads=how.threads,
        memory_limit=how.memory_limit,
        json=how.json,
        quiet=how.quiet,
        overwrite=how.overwrite,
    )
    return _paint(photo, styles, lambda _: chosen, output, flags)


def check_given(settings: SettingsFlags) -> None:
    """Refuse flags of settings that one pass has no use for; what a preset says of them is passed over."""
    for name in given(settings):
        if name not in {*USED, "method"}:
            raise SettingError(f"{flag(name)}: got one, but --method fast has no use for it; leave it out")


def _refuse_steps(how: RunFlags) -> None:
    for name in ("preview", "timelapse", "log", "checkpoint", "resume"):
        if getattr(how, name):
            raise SettingError(f"--{name}: got one, but what is painted in one pass takes no steps; leave it out")


def rerun(inputs: "RerunInputs", output: Path, how: RunFlags, originals: Sequence[Path]) -> int:
    """Repeat a result of the one-pass method; `originals` are files that must not be replaced."""
    from impasto.jobs.rerun import rerun_fast

    _refuse_steps(how)
    check(output, how.overwrite, originals, inputs.recipe.settings.depth)
    with display(as_json=how.json, quiet=how.quiet) as show:
        picture = rerun_fast(
            inputs,
            device=how.device,
            precision=how.precision,
            threads=how.threads,
            memory=how.memory,
            on_event=show,
        )
        picture.save(output)
        show(Saved(printable(output)))
    return 0


def _paint(photo: Path, styles: Sequence[Path], change: Change, output: Path, how: FastFlags) -> int:
    """Paint `photo`, a file, a folder or a pipe, with the settings that `change` makes of the default's.

    Raises:
        ImpastoError: before anything is begun, or of a single photograph.
        BatchError: in the end, of some of several.
    """
    photos = _photos(photo, how)
    many = how.watch or len(photos) > 1 or os.path.isdir(photo)
    if many and not os.path.isdir(output):
        if output == PIPE or os.path.lexists(output):
            raise OutputError(f"{printable(output)}: is not a folder; give one for what is painted of several")
        files.check_output(output, overwrite=False)  # a folder is made where a file could be
    if PIPE in {photo, output} and (many or (output == PIPE and how.json)):
        raise SettingError("-: got a pipe, which holds one picture and nothing else; leave --json and other photos out")
    shares = [share_of(each) for each in styles]
    inputs = [*photos, *(path for path, _ in shares)]
    depth = change(Settings()).depth  # a value out of its range is refused before the network is loaded
    if not many and output != PIPE:
        check(output, how.overwrite, inputs, depth)
    with display(as_json=how.json, quiet=how.quiet) as show, signals("stopping after this picture") as received:
        work = Photographs(output, inputs, how.overwrite, depth, _painter(shares, change, how, show), show, received)
        if many:
            os.makedirs(output, exist_ok=True)
        if how.watch:
            work.watch(photo)
        elif many:
            work.paint_all(photos)
        else:
            work.save(photo, output)
    return 128 + received[0] if received else 0


def _photos(photo: Path, how: FastFlags) -> list[Path]:
    if how.watch:
        if not os.path.isdir(photo) or how.also:
            raise SettingError(f"--watch: got {printable(photo)!r}; give one FOLDER that pictures appear in")
        return []
    found = pictures_in(photo) if os.path.isdir(photo) else [photo]
    if not found:
        raise PictureError(f"{printable(photo)}: holds no pictures; give another folder, or --watch to wait for some")
    return [*found, *(how.also or ())]


def _painter(shares: Sequence[tuple[Path, float]], change: Change, how: FastFlags, show: Display) -> Paint:
    """What paints a photograph, the network and the paintings being loaded once."""
    import torch

    from impasto import Style, load
    from impasto.feedforward import one_pass, stylizer

    if how.threads is not None:
        torch.set_num_threads(how.threads)
    network = stylizer.network_for([path for path, _ in shares], how.device, how.precision)
    alone = isinstance(network, stylizer.SingleStyleNetwork)
    styles = [path if alone else Style(load(path), weight) for path, weight in shares]

    def paint(path: Path) -> "Picture":
        photo = piped() if path == PIPE else load(path)
        settings = change(preset().replace(size=max(photo.height, photo.width)))
        return one_pass.fast(photo, styles, settings, network=network, memory=how.memory, reuse=True, on_event=show)

    return paint
