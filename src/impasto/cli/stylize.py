"""`impasto stylize`: the style of one or more images for a content image."""

from impasto.cli.fast import check_settings, stylize_in_one_pass
from impasto.cli.image_options import ContentArgument, ImageOutput, MaskOptions, MoreStyles, StyleArgument
from impasto.cli.run import make_job, print_job, start_run
from impasto.cli.run_options import RunOptions
from impasto.cli.settings_options import SettingsOptions, resolve
from impasto.settings.presets import preset


def stylize(
    content: ContentArgument,
    style: StyleArgument,
    /,
    *more_styles: MoreStyles,
    output: ImageOutput,
    settings: SettingsOptions = SettingsOptions(),  # noqa: B008
    masks: MaskOptions = MaskOptions(),  # noqa: B008
    options: RunOptions = RunOptions(),  # noqa: B008
) -> int:
    """Transfer the style of STYLE to CONTENT; several styles are mixed, or each is applied in its --mask."""
    resolved, styles = resolve(settings, preset(options.preset)), [style, *more_styles]
    if resolved.method == "fast":
        check_settings(settings)
        if options.print_job:
            return print_job(make_job(content, styles, resolved, output, options, masks))
        return stylize_in_one_pass(content, styles, resolved, output, options, masks)
    return start_run(content, styles, resolved, output, options, masks)
