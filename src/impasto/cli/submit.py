"""`impasto submit`: a job for a server."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto import files
from impasto.cli.display import duration
from impasto.cli.image_options import ContentArgument, MoreStyles, StyleArgument, split_weight
from impasto.cli.option_groups import OUTPUT
from impasto.cli.printing import print_line, print_saved
from impasto.cli.run_options import Overwrite, PresetName
from impasto.cli.server_options import ServerUrl
from impasto.cli.settings_options import SettingsOptions, WholeNumber, resolve
from impasto.settings.presets import preset as settings_of
from impasto.web.client import DEFAULT_URL, Client, format_of


def submit(
    content: ContentArgument,
    style: StyleArgument,
    /,
    *more_styles: MoreStyles,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            metavar="FILE",
            group=OUTPUT,
            help="Wait for the result, and save it to FILE (PNG, JPEG).",
        ),
    ] = None,
    server: ServerUrl = DEFAULT_URL,
    priority: Annotated[WholeNumber, Parameter(help="-2 to 2; jobs of a higher priority run first.")] = 0,
    preset: PresetName = "painterly",
    overwrite: Overwrite = False,
    settings: SettingsOptions = SettingsOptions(),  # noqa: B008
) -> int:
    """Add a job to the queue of a server, and print its number."""
    resolved = resolve(settings, settings_of(preset))
    styles = [split_weight(each) for each in (style, *more_styles)]
    if output is not None:
        format_of(output)
        files.check_output(output, overwrite=overwrite, inputs=[content, *(path for path, _ in styles)])
    client = Client(server)
    job = client.submit(content, styles, resolved.model_dump(mode="json"), priority=priority)
    print_line(f"job {job['number']}")
    if output is not None:
        ended = client.wait(job["number"])
        client.save_result(job["number"], output, overwrite=overwrite)
        print_line(f"{ended['state']} after {duration(ended['seconds'])}")
        print_saved(output)
    return 0
