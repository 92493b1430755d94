"""`impasto plot`: the losses of runs over steps."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.printing import print_saved
from impasto.cli.run_options import Overwrite
from impasto.cli.streams import piped

LogArgument = Annotated[Path, Parameter(help="FILE.jsonl that --log wrote; - for standard input.", negative=())]


def plot(
    log: LogArgument,
    /,
    *more: Annotated[Path, Parameter(name="LOG...", help="Further logs, plotted beside it.", negative=())],
    output: Annotated[
        Path,
        Parameter(
            name=["--output", "-o"], metavar="FILE", help="Plot: .png, .svg or .pdf; - for a PNG on standard output."
        ),
    ],
    overwrite: Overwrite = False,
) -> int:
    """Plot the losses in LOG over steps; several logs are plotted side by side."""
    import impasto
    from impasto.sweeps.plot import check_output

    with piped([log, *more], output) as (paths, result):
        check_output(result, overwrite=overwrite, inputs=paths)
        impasto.plot(paths).save(result, overwrite=overwrite)
        print_saved(result)
    return 0
