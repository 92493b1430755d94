"""Images on the command line: content, styles with weights and masks, the output and its validation."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto import files
from impasto.cli.option_groups import CONTENT, MAIN
from impasto.errors import SettingError, printable
from impasto.images.recipe import MAX_WEIGHT
from impasto.settings.numbers import parse_number

ContentArgument = Annotated[
    Path, Parameter(help="Content image: PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF; - for standard input.", negative=())
]
StyleArgument = Annotated[Path, Parameter(help="Style image; FILE=0.7 sets its weight in a mixture.", negative=())]
MoreStyles = Annotated[Path, Parameter(name="STYLE...", help="Further style images.", negative=())]
ResultArgument = Annotated[Path, Parameter(help="An image that impasto saved; - for standard input.", negative=())]

ImageOutput = Annotated[
    Path,
    Parameter(
        name=["--output", "-o"],
        metavar="FILE",
        group=MAIN,
        help="Output image: .png, .jpg, .webp or .tiff; - for a PNG on standard output.",
        negative=(),
    ),
]


@Parameter(name="*", group=MAIN, negative=())
@dataclass(frozen=True)
class MaskOptions:
    """Where each style is applied, where the content image is protected, and where it needs more detail."""

    mask: Annotated[
        tuple[str, ...],  # as it was typed: "alpha" is a keyword, "./alpha" a file
        Parameter(
            metavar="FILE",
            help="Style mask: STYLE is applied in its white areas. Repeat for further styles; a style without a mask "
            "gets the remaining area. alpha: the opaque areas of CONTENT (a file of that name: ./alpha).",
            consume_multiple=False,
            show_default=False,
        ),
    ] = ()
    keep: Annotated[
        Path | None,
        Parameter(
            metavar="FILE", help="Protection mask: white areas of CONTENT are kept unchanged.", show_default=False
        ),
    ] = None

    detail_mask: Annotated[
        Path | None,
        Parameter(
            metavar="FILE",
            group=CONTENT,
            help="Detail mask: white areas stay closer to CONTENT, as faces do (--faces).",
            show_default=False,
        ),
    ] = None

    def for_styles(self, count: int) -> list[str | None]:
        """The mask of each style, or None.

        Raises:
            SettingError: more masks than styles.
        """
        if len(self.mask) > count:
            raise SettingError(f"--mask: got {len(self.mask)} for {count} styles; give at most one per style")
        return [*self.mask, *(None for _ in range(count - len(self.mask)))]


def split_weight(style: Path) -> tuple[Path, float]:
    """The file and the weight from FILE or FILE=WEIGHT; an existing file with such a name takes precedence.

    Raises:
        SettingError: a weight that is no number, or out of range.
    """
    name, equals, weight = str(style).rpartition("=")
    if not equals or os.path.lexists(style):
        return style, 1.0
    try:
        share = parse_number(weight)
    except ValueError as error:
        if not os.path.lexists(name):
            return style, 1.0  # reading it raises the error that it does not exist
        raise SettingError(
            f"{printable(name)}: got the weight {weight!r}; give a number above 0 such as 0.5, or check the name: "
            f"{printable(style)} does not exist"
        ) from error
    if not 0 < share <= MAX_WEIGHT:
        raise SettingError(f"{printable(name)}: got the weight {share:g}; give one above 0, at most {MAX_WEIGHT:g}")
    return Path(name), share


def check_image_output(path: Path, *, overwrite: bool, inputs: Iterable[Path], depth: int = 8) -> None:
    """Validate, before any work is done, that an image can be saved to `path`.

    Raises:
        OutputError: see `files.check_output`; or a suffix of no format, or of one without `depth` bits per channel.
    """
    from impasto.images.formats import check_suffix

    files.check_output(path, overwrite=overwrite, inputs=inputs)
    check_suffix(path, depth)
