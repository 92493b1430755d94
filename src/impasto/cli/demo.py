"""`impasto demo`: a run with bundled images."""

import dataclasses
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from impasto.cli.image_options import ImageOutput
from impasto.cli.run import start_run
from impasto.cli.run_options import RunOptions
from impasto.cli.settings_options import GROUPS, SettingsOptions, resolve, settings_options
from impasto.settings.presets import preset

SIZE, STEPS = 320, 100
"""Takes less than a minute on two cores without bfloat16."""
OUTPUT = Path("impasto-demo.png")
"""Overwritten without --overwrite: only this command writes it."""


if TYPE_CHECKING:

    class DemoSettingsOptions(SettingsOptions):
        """All settings, with the defaults of this command in the help."""
else:
    DemoSettingsOptions = settings_options("DemoSettingsOptions", GROUPS, preset().replace(size=SIZE, steps=STEPS))


def demo(
    *,
    style: Annotated[Literal["swirls", "waves", "glass"], Parameter(help="Bundled style image.")] = "swirls",
    output: ImageOutput = OUTPUT,
    settings: DemoSettingsOptions = DemoSettingsOptions(),  # noqa: B008
    options: RunOptions = RunOptions(),  # noqa: B008
) -> int:
    """Stylize a bundled content image: takes less than a minute on two cores."""
    if output == OUTPUT:
        options = dataclasses.replace(options, overwrite=True)
    resolved = resolve(settings, preset(options.preset).replace(size=SIZE, steps=STEPS))

    from impasto.jobs.rerun import DEMO

    with resources.as_file(DEMO) as folder:
        return start_run(folder / "portrait.jpg", [folder / f"{style}.jpg"], resolved, output, options)
