"""SLURM: submitit, which submits jobs, and squeue, which tells what has become of them."""

import contextlib
import itertools
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import psutil

from impasto.errors import MissingError, SettingError


def load_submitit(cluster: str) -> Any:
    """The package submitit.

    Raises:
        MissingError: it is not installed.
        SettingError: there is no SLURM on this machine.
    """
    try:
        import submitit
    except ImportError as error:
        raise MissingError("--executor slurm: submitit is not installed; pip install 'impasto[slurm]'") from error
    if cluster == "slurm" and shutil.which("srun") is None:
        raise SettingError("--executor slurm: there is no SLURM here (srun was not found); start it on a login node")
    return submitit


def still_queued(cluster: str, ids: Sequence[str]) -> set[str]:
    """Those tasks that are queued or run; all of them if SLURM does not answer.

    squeue rather than sacct, which submitit asks: not every cluster keeps accounts.
    """
    if cluster != "slurm":
        return {each for each in ids if _is_running(int(each))}
    main = sorted({each.partition("_")[0] for each in ids})
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(main)}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return set(ids)
    return set(itertools.chain.from_iterable(line.split() for line in answer.stdout.splitlines())).intersection(ids)


def _is_running(process: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    return False
