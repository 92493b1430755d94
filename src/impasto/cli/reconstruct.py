"""`impasto reconstruct`: feature inversion."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli.image_options import ContentArgument, ImageOutput
from impasto.cli.run import start_run
from impasto.cli.run_options import RunOptions
from impasto.cli.settings_options import GROUPS, SettingsOptions, resolve, settings_options
from impasto.errors import SettingError
from impasto.settings.presets import preset

LAYER = "block4_conv2"

if TYPE_CHECKING:

    class ReconstructSettingsOptions(SettingsOptions):
        """All settings, with the defaults of this command in the help."""
else:
    ReconstructSettingsOptions = settings_options(
        "ReconstructSettingsOptions", GROUPS, preset().from_noise().with_content_layer(LAYER)
    )


def reconstruct(
    content: ContentArgument,
    /,
    *,
    layer: Annotated[str, Parameter(metavar="NAME", help="Layer of VGG19, such as block2_conv1.")] = LAYER,
    output: ImageOutput,
    settings: ReconstructSettingsOptions = ReconstructSettingsOptions(),  # noqa: B008
    options: RunOptions = RunOptions(),  # noqa: B008
) -> int:
    """Feature inversion: reconstruct CONTENT from the features of one layer, starting from white noise."""
    if settings.content_layers is not None:
        raise SettingError("--content-layer: a reconstruction uses one layer; give it with --layer")
    resolved = resolve(settings, preset(options.preset).from_noise().with_content_layer(layer))
    return start_run(content, [], resolved, output, options)
