"""Steps per second, their share of the GPU's rate, their memory, and how often they wait for the GPU."""

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu.bench import BATCH, Bench, graphs
from benchmarks.gpu.rows import FailedError, Row, Section, SkippedError, Values
from impasto import Run

WARM_UP = 8
"""Steps before the timing: kernels are loaded, a graph is captured, L-BFGS has some history."""
TIMED_SECONDS = 1.5
MAX_STEPS = 300
WATCHED = 10
"""Steps whose synchronizations are counted."""


def sections(bench: Bench) -> Iterator[Section]:
    """The sections of this module, in two parts: what matters most, and the rest."""
    yield Section("rate", 10, [Row("bfloat16 product of 8192x8192 matrices", partial(rate, bench))])
    yield Section("steps", 45, [_step_row(bench, size, "bfloat16", "lbfgs", True) for size in bench.timed_sizes])
    yield Section("synchronizations", 20, _synchronization_rows(bench))


def more_sections(bench: Bench) -> Iterator[Section]:
    """Other precisions, Adam, and steps without graphs."""
    rows = [_step_row(bench, size, "bfloat16", "lbfgs", False) for size in bench.timed_sizes]
    for captured in (True, False):
        rows += [_step_row(bench, size, "bfloat16", "adam", captured) for size in bench.timed_sizes]
    others = [name for name in bench.precisions if name != "bfloat16"]
    rows += [_step_row(bench, size, name, "lbfgs", True) for name in others for size in bench.timed_sizes[:2]]
    yield Section("more steps", 60, rows)


def _step_row(bench: Bench, size: int, precision: str, optimizer: str, captured: bool) -> Row:
    name = f"step at {size} px, {precision}, {optimizer}, {'graph' if captured else 'no graph'}"
    return Row(name, partial(steps, bench, size, precision, optimizer, captured))


def rate(bench: Bench, _: float) -> Values:
    """What the device reaches in a large product."""
    return {"TFLOP/s": bench.rate() / 1e12}


def steps(bench: Bench, size: int, precision: str, optimizer: str, captured: bool, limit: float) -> Values:  # noqa: PLR0917
    """Steps of a single scale, with everything that a run does between them."""
    network = bench.vgg(precision).nbytes
    others = bench.forget_memory() - network
    with graphs(bench, captured=captured):
        run = bench.run(bench.settings(size, steps=WARM_UP + MAX_STEPS, optimizer=optimizer), precision)
        step = iter(run)
        notes = [note for _ in range(WARM_UP) for note in next(step).notes]
        count, started = 0, bench.now()
        while count < MAX_STEPS and bench.now() - started < min(TIMED_SECONDS, limit):
            for _ in range(BATCH):
                next(step)
            count += BATCH
        seconds = (bench.now() - started) / count
    if captured and notes:
        raise FailedError("; ".join(notes))
    (plan,) = run.plan
    per_step = 2 * plan.multiply_adds / plan.scale.steps / seconds
    values = {
        "steps/s": 1 / seconds,
        "TFLOP/s": per_step / 1e12,
        "share of the rate": per_step / bench.rate(),
        "strip": plan.strip,
        **_memory(bench, plan.memory + others),
    }
    return {name: value for name, value in values.items() if value is not None}


def _memory(bench: Bench, planned: int) -> dict[str, object]:
    """The peak against the bytes planned, both with the networks of the other rows."""
    peak = bench.peak()
    if peak is None:
        return {}
    planned_mb = round(planned / 1e6)
    if peak["peak MB"] > planned_mb:
        raise FailedError(f"{peak['peak MB']} MB were allocated, {planned_mb} MB planned")
    return {**peak, "planned MB": planned_mb}


def _synchronization_rows(bench: Bench) -> Iterator[Row]:
    for optimizer in ("lbfgs", "adam"):
        for captured in (True, False):
            name = f"synchronizations, {optimizer}, {'graph' if captured else 'no graph'}"
            yield Row(name, partial(synchronizations, bench, optimizer, captured))
            yield Row(f"{name}: one step without any", partial(one_step_without, bench, optimizer, captured))


def synchronizations(bench: Bench, optimizer: str, captured: bool, _: float) -> Values:
    """How often some steps wait for the GPU, and which lines of the program do."""
    watched = _watched(bench, optimizer, captured)
    with watched as (_run, step), warnings.catch_warnings(record=True) as caught, _debug_mode("warn"):
        warnings.simplefilter("always")
        for _ in range(WATCHED):
            next(step)
    waits = [each for each in caught if "synchronizing" in str(each.message)]
    lines = Counter(f"{Path(each.filename).name}:{each.lineno}" for each in waits)
    where = ", ".join(f"{line} ({count})" for line, count in lines.most_common(6))
    return {"per step": len(waits) / WATCHED, "where": where or "none"}


def one_step_without(bench: Bench, optimizer: str, captured: bool, _: float) -> Values:
    """Whether at least one of the next steps does not wait for the GPU; the losses are read at some of them."""
    with _watched(bench, optimizer, captured) as (run, _step), _debug_mode("error"):
        complaints = [_complaint(run) for _attempt in range(WATCHED)]
    if all(complaints):
        raise FailedError(str(complaints[0]))
    return {"without": f"{complaints.count(None)} of {WATCHED} steps"}


def _complaint(run: Run) -> str | None:
    """torch's error in the next step, which is not taken then; None if there is none."""
    try:
        next(iter(run))
    except RuntimeError as error:
        return str(error).splitlines()[0][:200]
    return None


@contextlib.contextmanager
def _watched(bench: Bench, optimizer: str, captured: bool) -> Iterator[tuple[Run, Iterator[object]]]:
    """A run that has been warmed up, and its iterator."""
    if not bench.on_gpu:
        raise SkippedError("there is nothing to wait for on a CPU")
    with graphs(bench, captured=captured):
        settings = bench.settings(bench.timed_sizes[0], steps=WARM_UP + 10 * WATCHED, optimizer=optimizer)
        run = bench.run(settings, "bfloat16")
        step = iter(run)
        for _ in range(WARM_UP):
            next(step)
        yield run, step


@contextlib.contextmanager
def _debug_mode(mode: str) -> Iterator[None]:
    """Let torch warn of every synchronization, or raise an error."""
    torch.cuda.set_sync_debug_mode(mode)
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
