"""`impasto info`: versions, hardware, and what a run would need."""

import json as json_module

from impasto.cli.display import duration
from impasto.cli.printing import print_line, print_table
from impasto.cli.run_options import AsJson, NetworkOptions, PresetName
from impasto.cli.settings_options import SettingsOptions, resolve
from impasto.settings.presets import preset as settings_of


def info(
    *,
    settings: SettingsOptions = SettingsOptions(),  # noqa: B008
    options: NetworkOptions = NetworkOptions(),  # noqa: B008
    preset: PresetName = "painterly",
    json: AsJson = False,
) -> int:
    """Print versions, device, threads and memory, and the time and memory that a run with these settings needs."""
    resolved = resolve(settings, settings_of(preset))

    import impasto

    options.compute.set_threads()
    vgg = options.compute.load_network()
    result = impasto.info(resolved, vgg=vgg, memory=options.memory)
    facts = result.as_dict()
    if json:
        print_line(json_module.dumps(facts, indent=2))
        return 0
    scales = facts.pop("scales")
    width = max(map(len, facts))
    for name, value in facts.items():
        print_line(f"{name:<{width}}  {value}")
    print_table(["a run at", *list(scales[0])[1:]], [list(map(str, scale.values())) for scale in scales])
    print_line(f"in total about {duration(result.seconds)}, for a 4:3 content image and one style image")
    return 0
