"""`impasto info`: versions, hardware, and what a run would need."""

import json as json_module
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from impasto.cli.display import duration
from impasto.cli.printing import print_line, print_table
from impasto.cli.run_options import AsJson, NetworkOptions, PresetName
from impasto.cli.settings_options import SettingsOptions, resolve
from impasto.errors import SettingError
from impasto.settings.model import Settings
from impasto.settings.presets import preset as settings_of
from impasto.version import __version__

if TYPE_CHECKING:
    from impasto.vgg.model import VGG19

GIGA = 1e9


def info(
    *,
    settings: SettingsOptions = SettingsOptions(),  # noqa: B008
    options: NetworkOptions = NetworkOptions(),  # noqa: B008
    preset: PresetName = "painterly",
    json: AsJson = False,
) -> int:
    """Print versions, device, threads and memory, and the time and memory that a run with these settings needs."""
    resolved = resolve(settings, settings_of(preset))
    if resolved.method == "fast":
        raise SettingError("--method: got 'fast', which takes a second and needs no plan; leave it out")
    vgg = _load_network(options)
    facts = _system_facts(vgg)
    scales = list(_scale_facts(resolved, options, vgg))
    if json:
        print_line(json_module.dumps({**facts, "scales": scales}, indent=2))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        print_line(f"{name:<{width}}  {value}")
    print_table(["a run at", *list(scales[0])[1:]], [list(map(str, scale.values())) for scale in scales])
    total = sum(float(str(scale["seconds a step"])) * int(str(scale["steps"])) for scale in scales)
    print_line(f"in total about {duration(total)}, for a 4:3 content image and one style image")
    return 0


def _load_network(options: NetworkOptions) -> "VGG19":
    import torch

    from impasto.vgg.model import VGG19

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return VGG19.load(options.weights, device=options.device, precision=options.precision)


def _system_facts(vgg: "VGG19") -> dict[str, object]:
    import torch

    from impasto.vgg import device

    return {
        "impasto": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": metadata.version("pillow"),
        "platform": platform.platform(),
        "device": vgg.device.type,
        "precision": vgg.precision,
        "processor": platform.processor() or platform.machine(),
        "processor features": ", ".join(device.cpu_features()) or "unknown",
        "threads": torch.get_num_threads(),
        "memory in GB": round(device.total_memory() / GIGA, 1),
        "available memory in GB": round(device.available_memory(vgg.device) / GIGA, 1),
    }


def _scale_facts(settings: Settings, options: NetworkOptions, vgg: "VGG19") -> Iterator[dict[str, object]]:
    """What each scale of a run needs for a 4:3 content image, measured with a trial step."""
    import torch

    from impasto.images.picture import Picture
    from impasto.optimize.run import Run

    content, style = (Picture(torch.rand(3, *size)) for size in ((96, 128), (128, 128)))
    run = Run(content, [style], settings.replace(init="content"), vgg=vgg, memory=options.memory)
    pace = run.measure_pace()
    for plan in run.plan:
        height, width = plan.size
        yield {
            "size": f"{width}x{height}",
            "steps": plan.scale.steps,
            "evaluated": "whole" if plan.strip is None else f"in strips of {plan.strip} rows",
            "GB": round(plan.memory / GIGA, 1),
            "GFLOP a step": round(2 * plan.multiply_adds / plan.scale.steps / GIGA),
            "seconds a step": float(f"{plan.seconds(pace) / plan.scale.steps:.2g}"),
        }
