"""`python -m benchmarks`, run in the root of the repository; needs `pip install -e '.[bench]'`, as in `make bench`."""

import argparse
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from benchmarks import memory, methods, one_pass, peers, quality, report, similarity, sizes, start, step, warm_start
from benchmarks.plan import Plan, Section

SECTIONS: dict[str, Callable[[Plan], Section]] = {
    "step": step.measure,
    "memory": memory.measure,
    "quality": quality.measure,
    "start": start.measure,
    "peers": peers.measure,
    "sizes": sizes.measure,
    "similarity": similarity.measure,
    "methods": methods.measure,
    "one-pass": one_pass.measure,
    "warm-start": warm_start.measure,
}
DEFAULT = ("step", "memory", "quality", "start", "peers")
"""The sections that are measured by default: half an hour."""


def main() -> None:
    """Measure the requested sections; print and save each one as soon as it is done."""
    with resources.as_file(resources.files("impasto") / "demo") as demo:
        arguments = vars(_parser(demo).parse_args())
        only = arguments.pop("only")
        plan = Plan(**arguments)
        print(report.opening(plan), flush=True)
        done: dict[str, Section] = {}
        for name in [section for section in SECTIONS if section in only]:
            done[name] = SECTIONS[name](plan)
            print("", report.table(done[name]), sep="\n", flush=True)
            report.save(plan, done)
        print(f"\nsaved in {plan.out}")


def _parser(demo: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Measure impasto against plain torch and other programs, on the CPU.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SECTIONS,
        default=list(DEFAULT),
        help="sections to measure; the last five take long and are off by default",
    )
    parser.add_argument(
        "--size", type=int, default=512, help="long edge in pixels; memory is measured at twice this size"
    )
    parser.add_argument("--rounds", type=int, default=7, help="how many times a step is timed")
    parser.add_argument(
        "--steps",
        type=int,
        default=300,
        help="steps of plain Adam, whose final loss is the target of the quality section, and of pastiche in methods",
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=Plan.sizes, help="long edges for the sizes section")
    parser.add_argument(
        "--memory-limit", type=int, default=Plan.memory_limit, help="memory limit in bytes for the sizes section"
    )
    parser.add_argument("--content", type=Path, default=demo / "portrait.jpg", help="the content image")
    parser.add_argument("--style", type=Path, default=demo / "swirls.jpg", help="the style image")
    parser.add_argument(
        "--out", type=Path, default=Plan.out, help="folder for benchmarks.json, benchmarks.png and images"
    )
    return parser


if __name__ == "__main__":
    main()
