"""`impasto weights`: the weights that are installed, and the download of better ones."""

import json as json_module

from cyclopts import App

from impasto.cli.printing import console, print_line
from impasto.cli.run_options import AsJson
from impasto.errors import printable

weights = App(
    name="weights",
    help="List the weights: which are installed, which a run uses. `weights download` gets them in full precision.",
)


@weights.default
def list_weights(*, json: AsJson = False) -> int:
    """List the weights: where they are, whether they are installed, and which of them a run uses."""
    from impasto import installed_weights

    entries = [each.as_dict() for each in installed_weights()]
    if json:
        print_line(json_module.dumps(entries, indent=2))
        return 0
    for entry in entries:
        state = "used" if entry["used"] else "installed" if entry["present"] else "missing"
        print_line(f"{entry['kind']} ({state}): {entry['description']}")
        print_line(f"  {entry['path']}")
        print_line(f"  license: {entry['license']}")
        if entry["sha256"]:
            print_line(f"  SHA-256: {entry['sha256']}")
    print_line("`impasto weights download` downloads the full-precision file; --weights FILE uses any other.")
    return 0


@weights.command
def download() -> int:
    """Download Keras' VGG19 in full precision (80 MB) into the cache; runs use it from then on."""
    from rich.progress import Progress

    from impasto.vgg import weights as vgg_weights

    with Progress(console=console(stderr=True)) as progress:
        task = progress.add_task("Keras' VGG19", total=vgg_weights.KERAS_SIZE)
        source = vgg_weights.download(
            on_progress=lambda done, total: progress.update(task, completed=done, total=total)
        )
    print_line(printable(source.path))
    return 0
