"""`impasto plot`: the losses of runs over steps."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.printing import print_line
from impasto.cli.run_options import Overwrite
from impasto.errors import printable

LogArgument = Annotated[Path, Parameter(help="FILE.jsonl that --log wrote.", negative=())]


def plot(
    log: LogArgument,
    /,
    *more: Annotated[Path, Parameter(name="LOG...", help="Further logs, plotted beside it.", negative=())],
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="FILE", help="Plot: .png, .svg or .pdf.")],
    overwrite: Overwrite = False,
) -> int:
    """Plot the losses in LOG over steps; several logs are plotted side by side."""
    import impasto
    from impasto.sweeps.plot import check_output

    paths = [log, *more]
    check_output(output, overwrite=overwrite, inputs=paths)
    impasto.plot(paths).save(output)
    print_line(f"saved {printable(output)}")
    return 0
