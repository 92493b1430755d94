"""`impasto compare`: image differences, and differences between recipes."""

import json as json_module
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli.image_options import check_image_output
from impasto.cli.printing import print_line, print_saved, print_table
from impasto.cli.run_options import AsJson, Overwrite
from impasto.cli.streams import piped

if TYPE_CHECKING:
    from impasto.sweeps.compare import Comparison


def compare(
    first: Annotated[Path, Parameter(help="The image that the others are compared with.", negative=())],
    second: Annotated[Path, Parameter(help="The image to compare.", negative=())],
    /,
    *more: Annotated[Path, Parameter(name="IMAGE...", help="Further images to compare.", negative=())],
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            metavar="FILE",
            help="Contact sheet of the images: .png, .jpg, .webp or .tiff; - for a PNG on standard output.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: AsJson = False,
) -> int:
    """Compare SECOND and further images with FIRST: pixel differences, losses, and what differs in their recipes."""
    import impasto

    with piped([first, second, *more], output, json=json) as (paths, sheet):
        if sheet is not None:
            check_image_output(sheet, overwrite=overwrite, inputs=paths)
        compared = impasto.compare(paths)
        if json:
            print_line(json_module.dumps([image.as_dict() for image in compared.images], indent=2))
        else:
            _print(compared)
        if sheet is not None:
            compared.save(sheet, overwrite=overwrite)
            if not json:
                print_saved(sheet)
    return 0


def _print(comparison: "Comparison") -> None:
    """A table with a column per image and a row per figure; then the notes."""
    from impasto.sweeps.compare import format_value

    compared = comparison.images
    similarities = [image.similarity for image in compared]
    rows = [
        ["size", *(f"{image.width}x{image.height}" for image in compared)],
        ["RMS difference, of 255", *("" if like is None else f"{like.rms:.2f}" for like in similarities)],
        ["PSNR in dB", *("" if like is None else f"{like.psnr:.2f}" for like in similarities)],
        ["correlation", *("" if like is None else _correlation_text(like.correlation) for like in similarities)],
    ]
    if all(image.recipe is not None for image in compared):
        losses = [image.recipe.loss if image.recipe else {} for image in compared]
        rows += [[f"loss: {term}", *(f"{loss.get(term, math.nan):.5g}" for loss in losses)] for term in losses[0]]
        rows += [[name, *map(format_value, values)] for name, values in comparison.differences.items()]
    print_table(["", *(image.name for image in compared)], rows)
    for image in compared:
        for note in image.notes:
            print_line(f"note: {note if note.startswith(image.name) else f'{image.name}: {note}'}")


def _correlation_text(value: float | None) -> str:
    return "undefined: constant image" if value is None else f"{value:.4f}"
