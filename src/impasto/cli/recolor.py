"""`impasto recolor`: the colors of the content image for a result, without a new run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.display import display
from impasto.cli.image_options import ImageOutput, check_image_output
from impasto.cli.option_groups import MAIN, OUTPUT
from impasto.cli.run_options import JsonEvents, Overwrite, Quiet
from impasto.cli.settings_options import number_option
from impasto.cli.streams import piped
from impasto.errors import printable
from impasto.events import Noted, Saved
from impasto.images.recipe import Recolor
from impasto.settings.model import Depth, Settings


@Parameter(name="*", group=OUTPUT, negative=())
@dataclass(frozen=True)
class SaveOptions:
    """How an image is saved, and how that is reported."""

    depth: Annotated[Depth, number_option(Depth), Parameter(help=str(Settings.model_fields["depth"].description))] = 8
    dither: Annotated[bool, Parameter(help=str(Settings.model_fields["dither"].description), show_default=False)] = (
        False
    )
    json: JsonEvents = False
    quiet: Quiet = False
    overwrite: Overwrite = False


def recolor(
    image: Annotated[Path, Parameter(help="The image to recolor: a result, or any other.", negative=())],
    content: Annotated[Path, Parameter(help="The image that the colors are taken from.", negative=())],
    /,
    *,
    color: Annotated[
        Recolor,
        Parameter(
            group=MAIN,
            help="luminance: luminance of IMAGE, chroma of CONTENT; content: IMAGE color-matched to CONTENT.",
        ),
    ] = "luminance",
    output: ImageOutput,
    options: SaveOptions = SaveOptions(),
) -> int:
    """Give IMAGE the colors of CONTENT: takes a second, nothing is optimized again."""
    from impasto import api

    with piped([image, content], output, json=options.json) as ((before, source), result):
        check_image_output(result, overwrite=options.overwrite, inputs=[before, source], depth=options.depth)
        recolored = api.recolor(before, source, color)
        with display(as_json=options.json, quiet=options.quiet) as show:
            for note in recolored.notes:
                show(Noted(note))
            recolored.save(result, overwrite=options.overwrite, depth=options.depth, dither=options.dither)
            show(Saved(printable(result)))
    return 0
