"""`impasto plot`: the losses of runs over steps."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.printing import print_line
from impasto.cli.run_options import Overwrite
from impasto.errors import LogError, printable
from impasto.jobs.log import read_log
from impasto.sweeps import plot as plots

LogArgument = Annotated[Path, Parameter(help="FILE.jsonl that --log wrote.", negative=())]


def plot(
    log: LogArgument,
    /,
    *more: Annotated[Path, Parameter(name="LOG...", help="Further logs, plotted beside it.", negative=())],
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="FILE", help="Plot: .png, .svg or .pdf.")],
    overwrite: Overwrite = False,
) -> int:
    """Plot the losses in LOG over steps; several logs are plotted side by side."""
    paths = [log, *more]
    plots.check_output(output, overwrite=overwrite, inputs=paths)
    _refuse_duplicates(paths)
    names = [path.name for path in paths]
    labels = names if len(set(names)) == len(names) else list(map(str, paths))
    plots.save({printable(label): read_log(path) for label, path in zip(labels, paths, strict=True)}, output)
    print_line(f"saved {printable(output)}")
    return 0


def _refuse_duplicates(paths: Sequence[Path]) -> None:
    real = [os.path.realpath(path) for path in paths]
    for index, path in enumerate(paths):
        if real[index] in real[:index]:
            raise LogError(f"{printable(path)}: is given twice; give each log once")
