"""The commands that tell instead of paint."""

import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table

from impasto import layers
from impasto.cli.flags import changed
from impasto.errors import shown
from impasto.presets import names, preset, read

GIGA = 1e9
BASE, PER_RESPONSE = 0.35 * GIGA, {"bfloat16": 5.5, "float32": 8.0}
"""Bytes of the program, torch and the network, and of a step for each response: measured, see docs/architecture.md."""


def say(text: str) -> None:
    """A line to standard output."""
    print(text)  # noqa: T201


def inspect(result: Path) -> int:
    """Print a picture's recipe."""
    from impasto import repeat

    say(repeat.read(result).model_dump_json(indent=2))
    return 0


def presets(name: str | None) -> int:
    """List all presets, or print the file of one."""
    if name is not None:
        say(read(name).text.rstrip())
        return 0
    _print_table(["preset", "what it is"], [[each, read(each).description] for each in names()])
    return 0


def weights(*, as_json: bool) -> int:
    """List the weights there are, the one that a run would use marked."""
    from impasto import weights as store

    used = next((source for source in store.sources() if source.present), None)
    rows = [
        {
            "kind": source.kind,
            "used": source == used,
            "present": source.present,
            "path": shown(source.path),
            "sha256": hashlib.sha256(source.path.read_bytes()).hexdigest() if source.present else None,
            "licence": source.licence,
            "description": source.description,
        }
        for source in store.sources()
    ]
    if as_json:
        say(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        state = "used" if row["used"] else "there" if row["present"] else "not there"
        say(f"{row['kind']} ({state}): {row['description']}")
        say(f"  {row['path']}")
        say(f"  licence: {row['licence']}")
        if row["sha256"]:
            say(f"  SHA-256: {row['sha256']}")
    say("`impasto weights download` fetches the full-precision file; --weights FILE takes any other.")
    return 0


def download() -> int:
    """Fetch the full-precision weights."""
    from rich.progress import Progress

    from impasto import weights as store

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Keras' VGG19", total=store.KERAS_SIZE)
        source = store.download(on_progress=lambda done, total: progress.update(task, completed=done, total=total))
    say(shown(source.path))
    return 0


def info(size: int, *, as_json: bool) -> int:
    """Print what there is to run on, and what a run would need."""
    import torch

    from impasto import device

    on = device.device()
    precision = str(device.dtype("auto", on)).removeprefix("torch.")
    facts: dict[str, object] = {
        "impasto": metadata.version("impasto"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": metadata.version("pillow"),
        "platform": platform.platform(),
        "device": on.type,
        "precision": precision,
        "processor": platform.processor() or platform.machine(),
        "processor features": ", ".join(device.cpu_features()) or "none known",
        "threads": torch.get_num_threads(),
        "memory in GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGA, 1),
    }
    facts |= _needs(size, precision)
    if as_json:
        say(json.dumps(facts, indent=2))
    else:
        width = max(map(len, facts))
        for name, value in facts.items():
            say(f"{name:<{width}}  {value}")
    return 0


def _needs(size: int, precision: str) -> dict[str, object]:
    """What a run of the default settings needs for a 4:3 picture."""
    settings = changed(preset(), "size", size)
    height, width = round(size * 3 / 4), size
    used = [*settings.content_layers, *settings.style_layers]
    # the way back through the layers multiplies as often as the way forth
    operations = 2 * 2 * layers.multiplications(used, height, width)
    values = layers.responses(used, height, width)
    return {
        f"GFLOP a step at {width}x{height}": round(operations / GIGA),
        f"memory in GB at {width}x{height}, about": round((BASE + values * PER_RESPONSE[precision]) / GIGA, 1),
    }


def _print_table(head: list[str], rows: list[list[str]]) -> None:
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=False).print(table, markup=False)
