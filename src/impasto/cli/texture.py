"""`impasto texture`: texture synthesis."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli.image_options import ImageOutput, MoreStyles, StyleArgument
from impasto.cli.run import start_run
from impasto.cli.run_options import RunOptions
from impasto.cli.settings_options import GROUPS, SettingsOptions, resolve, settings_options
from impasto.settings.presets import preset

if TYPE_CHECKING:

    class TextureSettingsOptions(SettingsOptions):
        """All settings, with the defaults of this command in the help."""
else:
    TextureSettingsOptions = settings_options("TextureSettingsOptions", GROUPS, preset().from_noise())


def texture(
    style: StyleArgument,
    /,
    *more_styles: MoreStyles,
    output: ImageOutput,
    seamless: Annotated[
        bool,
        Parameter(help="Make a seamless tile; short for --padding circular.", negative=(), show_default=False),
    ] = False,
    settings: TextureSettingsOptions = TextureSettingsOptions(),  # noqa: B008
    options: RunOptions = RunOptions(),  # noqa: B008
) -> int:
    """Texture synthesis: generate a texture with the style of STYLE from white noise."""
    resolved = resolve(settings, preset(options.preset).from_noise())
    if seamless:
        resolved = resolved.replace(padding="circular")
    return start_run(None, [style, *more_styles], resolved, output, options)
