"""Complete runs from file to file, the one-pass method, and whether results are reproducible."""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from statistics import median

import torch

import impasto
from benchmarks.gpu.bench import Bench, check_image, graphs, take_steps
from benchmarks.gpu.rows import FailedError, Row, Section, Values
from impasto import Picture, Run, preset
from impasto.api import create_run
from impasto.optimize import checkpoint
from impasto.optimize.result import result_of

STEPS = 24
MAX_DIFFERENCE = 0.5
"""Largest difference in levels of 255 between the mean values of results that should be the same image."""


def complete_runs(bench: Bench, sizes: Iterable[int], seconds: float) -> Section:
    """Complete runs of the iterative method."""
    rows = [Row(f"complete run at {size} px", partial(complete_run, bench, size)) for size in sizes]
    return Section("complete runs", seconds, rows)


def one_pass(bench: Bench) -> Section:
    """The one-pass method."""
    rows = [Row(f"fast at {size} px", partial(fast, bench, size)) for size in bench.fast_sizes]
    return Section("fast", 15, rows)


def reproducibility(bench: Bench) -> Section:
    """Whether a run gives the same bits again."""
    rows = [
        Row("the same run twice", partial(twice, bench)),
        Row("resumed from a checkpoint", partial(resumed, bench)),
        Row("with a graph and without", partial(with_graph_and_without, bench)),
        Row("two threads at once share a network", partial(in_threads, bench)),
        Row("in another process", partial(in_another_process, bench)),
    ]
    return Section("reproducibility", 40, rows)


def complete_run(bench: Bench, size: int, limit: float) -> Values:
    """The default run with its files; if it takes too long, its time is extrapolated from the work done.

    The first run of a size in this process includes the loading of its kernels; a short one is repeated without.
    """
    values = _complete_run(bench, size, limit)
    seconds = values.get("total seconds")
    if isinstance(seconds, float) and 2 * seconds < limit / 2:
        return {**values, "again": _complete_run(bench, size, limit)["total seconds"]}
    return values


def _complete_run(bench: Bench, size: int, limit: float) -> Values:
    bench.forget_memory()
    started = bench.now()
    run = create_run(bench.content, bench.style, preset().replace(size=size), vgg=bench.vgg())
    first = bench.now()
    taken = take_steps(bench, run, limit - (first - started))
    steps_done = bench.now()
    if run.steps_done < run.steps:
        return _extrapolated(run, steps_done - first)
    picture = result_of(run)
    file = bench.out / f"default-{size}.{'png' if size < 2048 else 'jpg'}"
    picture.save(file, overwrite=True)
    seconds = bench.now() - started
    if size not in (bench.complete_sizes[0], bench.complete_sizes[-1]):
        file.unlink()
    check_image(picture)
    loss = (picture.recipe or {})["loss"]["total"]
    strips = {"strips": str([plan.strip for plan in run.plan])} if any(plan.strip for plan in run.plan) else {}
    parts = {"steps alone": steps_done - first, "steps": run.steps, "loss": loss, "precision": run.vgg.precision}
    notes = {"notes": "; ".join(taken.notes)} if taken.notes else {}
    return {"total seconds": seconds, **parts, **strips, **notes, **(bench.peak() or {})}


def _extrapolated(run: Run, seconds: float) -> Values:
    """The time of all steps, in proportion to their multiplications."""
    work = [plan.multiply_adds / plan.scale.steps for plan in run.plan for _ in range(plan.scale.steps)]
    whole = seconds * sum(work) / sum(work[: run.steps_done])
    return {"estimated seconds": whole, "stopped after": f"{run.steps_done} of {run.steps} steps, {seconds:.1f} s"}


def fast(bench: Bench, size: int, limit: float) -> Values:
    """The one-pass method, image in and image out; and the pass with its files, the first time."""
    bench.forget_memory()
    network, settings = bench.network(), preset().replace(size=size, method="fast")
    started = bench.now()
    picture = impasto.fast(bench.content, bench.style, settings, network=network)
    file = bench.out / f"fast-{size}.jpg"
    picture.save(file, overwrite=True)
    first = bench.now() - started
    if size != bench.fast_sizes[-1]:
        file.unlink()
    check_image(picture)
    content, style = bench.images()
    times = []
    while len(times) < 3 or (len(times) < 10 and time.perf_counter() - started < limit / 2):
        begun = bench.now()
        impasto.fast(content, style, settings, network=network)
        times.append(bench.now() - begun)
    return {"seconds": median(times), "with files, first": first, **(bench.peak() or {})}


def twice(bench: Bench, _: float) -> Values:
    """Two runs in this process."""
    return _same(_result(bench), _result(bench))


def with_graph_and_without(bench: Bench, _: float) -> Values:
    """Captured steps, and the same steps launched one by one."""
    with graphs(bench, captured=True):
        one = _result(bench)
    with graphs(bench, captured=False):
        return _same(one, _result(bench))


def resumed(bench: Bench, _: float) -> Values:
    """A run that is saved after half of its steps and continued from the file, against one without a break."""
    run = _run(bench)
    for step in run:
        if step.number + 1 == STEPS // 2:
            break
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.checkpoint"
        checkpoint.save(run, file)
        content, style = bench.images()
        read = checkpoint.read(file)
        again = Run(content, [style], run.settings, vgg=bench.vgg(), strips=read.strips)
        if notes := checkpoint.resume(again, read):
            raise FailedError("; ".join(notes))
        take_steps(bench, again)
    return _same(_result(bench), again.picture)


def in_threads(bench: Bench, _: float) -> Values:
    """Two runs at once, against one alone."""
    results: list[Picture] = []
    threads = [threading.Thread(target=lambda: results.append(_result(bench))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(results) < 2:
        raise FailedError(f"{2 - len(results)} of 2 runs raised an error, see above")
    alone = _result(bench)
    _same(results[0], alone)
    return _same(results[1], alone)


def in_another_process(bench: Bench, limit: float) -> Values:
    """The same run in a new process, where cuDNN selects its kernels again, without a trial."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.pt"
        command = [sys.executable, "-m", "benchmarks.gpu.complete", str(bench.device), str(bench.check_size), str(file)]
        subprocess.run(command, check=True, timeout=max(limit, 1), stdout=subprocess.DEVNULL)
        return _same(_result(bench), Picture(torch.load(file)))


def _run(bench: Bench) -> Run:
    return bench.run(bench.settings(bench.check_size, steps=STEPS))


def _result(bench: Bench) -> Picture:
    run = _run(bench)
    take_steps(bench, run)
    return run.picture


def _same(one: Picture, other: Picture) -> Values:
    """Whether the bits are the same, and if not how far apart the values are; fails if they are two images."""
    if torch.equal(one.tensor, other.tensor):
        return {"same bits": True}
    difference = 255 * (one.tensor - other.tensor).abs()
    mean, largest = float(difference.mean()), float(difference.max())
    if not mean <= MAX_DIFFERENCE:
        raise FailedError(f"the values differ by {mean:.3g} levels of 255 in the mean, {largest:.3g} at most")
    return {"same bits": False, "mean difference in levels": mean, "largest": largest}


def _main(device: str, size: str, file: str) -> None:
    """The run of `in_another_process`."""
    from benchmarks.gpu.__main__ import bench_on

    with bench_on(torch.device(device), int(size), Path()) as bench:
        torch.save(_result(bench).tensor, file)


if __name__ == "__main__":
    _main(*sys.argv[1:])
