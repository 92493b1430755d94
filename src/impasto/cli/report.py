"""The commands that tell instead of paint."""

import hashlib
import json
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from impasto.cli.display import duration
from impasto.cli.flags import MachineFlags
from impasto.errors import SettingError, printable
from impasto.settings.model import Settings
from impasto.settings.presets import names, read
from impasto.version import __version__

if TYPE_CHECKING:
    from impasto.vgg.model import VGG19

GIGA = 1e9


def say(text: str) -> None:
    """A line to standard output."""
    print(text)  # noqa: T201


def inspect(result: Path) -> int:
    """Print a picture's recipe."""
    from impasto.images.picture import load_recipe

    say(load_recipe(result).model_dump_json(indent=2))
    return 0


def presets(name: str | None) -> int:
    """List all presets, or print the file of one."""
    if name is not None:
        say(read(name).text.rstrip())
        return 0
    print_table(["preset", "what it is"], [[each, read(each).description] for each in names()])
    return 0


def weights(*, as_json: bool) -> int:
    """List the weights there are, the one that a run would use marked."""
    from impasto.feedforward import weights as feedforward_weights
    from impasto.vgg import weights as store

    used = next((source for source in store.sources() if source.present), None)
    rows = [
        {
            "kind": source.kind,
            "used": source.present and (source == used or source.kind == "fast"),
            "present": source.present,
            "path": printable(source.path),
            "sha256": hashlib.sha256(source.path.read_bytes()).hexdigest() if source.present else None,
            "license": source.license,
            "description": source.description,
        }
        for source in (*store.sources(), *feedforward_weights.sources())
    ]
    if as_json:
        say(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        state = "used" if row["used"] else "there" if row["present"] else "not there"
        say(f"{row['kind']} ({state}): {row['description']}")
        say(f"  {row['path']}")
        say(f"  license: {row['license']}")
        if row["sha256"]:
            say(f"  SHA-256: {row['sha256']}")
    say("`impasto weights download` fetches the full-precision file; --weights FILE takes any other.")
    return 0


def download() -> int:
    """Fetch the full-precision weights."""
    from rich.progress import Progress

    from impasto.vgg import weights as store

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Keras' VGG19", total=store.KERAS_SIZE)
        source = store.download(on_progress=lambda done, total: progress.update(task, completed=done, total=total))
    say(printable(source.path))
    return 0


def info(settings: Settings, how: MachineFlags, *, as_json: bool) -> int:
    """Print what there is to run on, and what a run with the settings would need; it takes a trial step."""
    if settings.method == "fast":
        raise SettingError("--method: got 'fast', which takes a second and needs no plan; leave it out")
    import torch

    from impasto.vgg import device
    from impasto.vgg.model import VGG19

    if how.threads is not None:
        torch.set_num_threads(how.threads)
    vgg = VGG19.load(how.weights, device=how.device, precision=how.precision)
    facts: dict[str, object] = {
        "impasto": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": metadata.version("pillow"),
        "platform": platform.platform(),
        "device": vgg.device.type,
        "precision": vgg.precision,
        "processor": platform.processor() or platform.machine(),
        "processor features": ", ".join(device.cpu_features()) or "none known",
        "threads": torch.get_num_threads(),
        "memory in GB": round(device.total_memory() / GIGA, 1),
        "memory at hand in GB": round(device.available_memory(vgg.device) / GIGA, 1),
    }
    scales = list(_scales(settings, how, vgg))
    if as_json:
        say(json.dumps({**facts, "scales": scales}, indent=2))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        say(f"{name:<{width}}  {value}")
    print_table(["a run at", *list(scales[0])[1:]], [list(map(str, scale.values())) for scale in scales])
    total = sum(float(str(scale["seconds a step"])) * int(str(scale["steps"])) for scale in scales)
    say(f"in all about {duration(total)}, for a photograph 4:3 and one painting")
    return 0


def _scales(settings: Settings, how: MachineFlags, vgg: "VGG19") -> Iterator[dict[str, object]]:
    """What each scale of a run of the settings would need for a 4:3 picture."""
    import torch

    from impasto.images.picture import Picture
    from impasto.optimize.run import Run

    photo, painting = (Picture(torch.rand(3, *frame)) for frame in ((96, 128), (128, 128)))
    run = Run(photo, [painting], settings.replace(init="content"), vgg=vgg, memory=how.memory)
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


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """A table to standard output, without lines."""
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=False).print(table, markup=False)
