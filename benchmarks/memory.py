"""Peak resident memory of a few steps at twice the benchmark's size, each variant in its own process."""

import subprocess
import sys

from benchmarks.peak import FLOOR, REFERENCE, STEPS, VARIANTS
from benchmarks.plan import Plan, Row, Section


def measure(plan: Plan) -> Section:
    """Run every variant once."""
    size = 2 * plan.size
    peaks = {variant: _peak(variant, plan, size) for variant in VARIANTS}
    rows: list[Row] = [
        {
            "variant": variant,
            "MB": peak / 1e6,
            "MB above torch alone": (peak - peaks[FLOOR]) / 1e6,
            "fraction of plain float32": peak / peaks[REFERENCE],
        }
        for variant, peak in peaks.items()
    ]
    return Section("Peak resident memory", rows, [f"Long edge of {size} pixels, {STEPS} steps."])


def _peak(variant: str, plan: Plan, size: int) -> int:
    command = [sys.executable, "-m", "benchmarks.peak", variant, str(plan.content), str(plan.style), str(size)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
