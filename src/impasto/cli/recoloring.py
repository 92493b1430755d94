"""The command that changes the colors of a picture without painting it again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto import files
from impasto.cli.display import display
from impasto.errors import printable
from impasto.events import Noted, Saved
from impasto.images.recipe import Recolor
from impasto.settings.model import Depth, Settings

RecolorFlag = Annotated[
    Recolor,
    Parameter(help="luminance: the lightness of PICTURE, the chroma of PHOTO; content: the palette moved to PHOTO's."),
]


@Parameter(name="*", negative=())
@dataclass(frozen=True)
class SaveFlags:
    """How a picture is saved, and what is told of it."""

    depth: Annotated[Depth, Parameter(help=str(Settings.model_fields["depth"].description))] = 8
    dither: Annotated[bool, Parameter(help=str(Settings.model_fields["dither"].description))] = False
    json: Annotated[bool, Parameter(help="Write every event as a line of JSON to standard output.")] = False
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], help="Say nothing but errors.")] = False
    overwrite: Annotated[bool, Parameter(help="Replace the file if it exists.")] = False


def recolor(picture: Path, photo: Path, color: Recolor, output: Path, how: SaveFlags) -> int:
    """Save `picture` in the colors of `photo` to `output`; the exit status."""
    from impasto import api
    from impasto.images.formats import check_suffix

    files.check_output(output, overwrite=how.overwrite, inputs=[picture, photo])
    check_suffix(output, how.depth)
    found = api.recolor(picture, photo, color)
    with display(as_json=how.json, quiet=how.quiet) as show:
        for note in found.notes:
            show(Noted(note))
        found.save(output, overwrite=how.overwrite, depth=how.depth, dither=how.dither)
        show(Saved(printable(output)))
    return 0
