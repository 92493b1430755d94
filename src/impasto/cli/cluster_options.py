"""Where the jobs of a batch run: on this machine, a Ray cluster or a SLURM cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from impasto.batches.local import LocalExecutor
from impasto.cli.option_groups import CLUSTER
from impasto.cli.run_options import CheckpointOptions, options_class, parse_minutes
from impasto.cli.settings_options import WholeNumber
from impasto.errors import SettingError

if TYPE_CHECKING:
    from impasto.batches.executor import Executor


@options_class
@dataclass(frozen=True)
class ClusterOptions(CheckpointOptions):
    """Options of a run, and where jobs run."""

    workers: Annotated[
        WholeNumber | None,
        Parameter(
            help="Jobs at a time; default: one per GPU, or one per CPU core (with --threads on Ray: per so many); on "
            "SLURM 8.",
            show_default=False,
        ),
    ] = None
    executor: Annotated[
        Literal["local", "ray", "slurm"],
        Parameter(group=CLUSTER, help="Run the jobs on this machine, a Ray cluster, or a SLURM cluster."),
    ] = "local"
    address: Annotated[
        str, Parameter(group=CLUSTER, metavar="ADDRESS", help="Ray: auto, ray://HOST:10001, HOST:PORT, or local.")
    ] = "auto"
    partition: Annotated[str | None, Parameter(group=CLUSTER, metavar="NAME", help="SLURM: the partition.")] = None
    time: Annotated[
        str, Parameter(group=CLUSTER, metavar="TIME", help="SLURM: time limit of a task, which then starts again.")
    ] = "4h"
    gpus: Annotated[
        WholeNumber, Parameter(group=CLUSTER, help="SLURM: GPUs of each worker, 0 or 1; 0 with --device cpu.")
    ] = 1
    sbatch: Annotated[
        list[str] | None,
        Parameter(
            group=CLUSTER,
            metavar="NAME=VALUE",
            help="SLURM: any other option of sbatch, such as account=lab; repeat for further options.",
            negative=(),
            consume_multiple=False,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Validate the values."""
        super().__post_init__()
        _ = self.minutes
        for option in self.sbatch or ():
            name, separator, _value = option.partition("=")
            if not (name and separator):
                raise SettingError(f"--sbatch: got {option!r}; give NAME=VALUE, such as account=lab")

    @property
    def minutes(self) -> int:
        """The time limit of SLURM in minutes."""
        return parse_minutes("--time", self.time)

    def create_executor(self, folder: Path, jobs: int | None) -> "Executor":
        """The executor of a batch.

        Args:
            folder: of the manifest.
            jobs: the number of jobs; None: not known.

        Raises:
            MissingError: its package is not installed.
            SettingError: there is no such cluster, or it cannot run the jobs.
        """
        if self.executor == "local":
            return LocalExecutor(self.compute, self.workers, jobs=jobs, overwrite=self.overwrite)
        if self.executor == "ray":
            from impasto.batches.ray import RayExecutor

            return RayExecutor(self.compute, self.workers, address=self.address, jobs=jobs, overwrite=self.overwrite)
        from impasto.batches.slurm import SlurmExecutor

        return SlurmExecutor(
            folder,
            self.compute,
            self.workers,
            partition=self.partition,
            minutes=self.minutes,
            gpus=0 if self.device == "cpu" else self.gpus,
            sbatch=dict(option.split("=", 1) for option in self.sbatch or ()),
            jobs=jobs,
            overwrite=self.overwrite,
        )
