"""A batch: jobs that an executor runs into a folder, with a manifest from which the batch is resumed."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto import files, storage
from impasto.batches import manifest
from impasto.batches.backlog import Backlog
from impasto.batches.executor import Executor, ShouldStop
from impasto.batches.manifest import Manifest, Record
from impasto.batches.plan import PlannedJob
from impasto.errors import OutputError, printable
from impasto.events import BatchBegan, JobEnded, OnEvent
from impasto.jobs.claims import claimed
from impasto.jobs.result import JobResult
from impasto.storage import Place


@dataclass(frozen=True)
class Summary:
    """What has become of the jobs of a batch.

    Attributes:
        records: of all jobs that have ended, now or before, in the order of the plan.
        waiting: the number of jobs that have not ended: the batch was stopped.
        unreadable: what is wrong with inputs that could not be read; there are no jobs for them.
    """

    records: tuple[Record, ...]
    waiting: int
    unreadable: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """A message for each job that failed, and for each input that could not be read."""
        failed = (record for record in self.records if record.state == "failed")
        return (*self.unreadable, *(f"{record.output}: {record.message}" for record in failed))


class Before:
    """What an earlier batch in the folder has done; nothing if it is not resumed.

    Args:
        folder: of the manifest.
        results: the place of the results; by default the same folder.
    """

    def __init__(self, folder: Path, *, resume: bool, results: Place | None = None) -> None:
        self.records = manifest.read(folder / manifest.NAME) if resume else {}
        self._files = _names_in(folder if results is None else results) if resume else set()

    @property
    def names(self) -> Mapping[str, str]:
        """The names of its results, by the ids of their jobs."""
        return {record.id: record.output for record in self.records.values() if record.state == "done"}

    def is_finished(self, planned: PlannedJob) -> bool:
        """Whether a job was done, and its result is still there."""
        record = self.records.get(planned.id)
        return record is not None and record.state == "done" and record.output in self._files


class Batch:
    """The run of a batch.

    Args:
        backlog: the jobs.
        folder: of the manifest.
        before: what was done before.
        unreadable: messages about inputs that could not be read; more may be added during the run.
    """

    def __init__(self, backlog: Backlog, folder: Path, before: Before, unreadable: Sequence[str] = ()) -> None:
        self._backlog, self._folder, self._before, self._unreadable = backlog, folder, before, unreadable
        self._records = {each.id: before.records[each.id] for each in backlog if before.is_finished(each)}
        self._ended, self._failed, self._began = 0, 0, 0.0

    def run(self, executor: Executor, on_event: OnEvent, should_stop: ShouldStop = lambda: False) -> Summary:
        """Run every job that is not finished yet, until `should_stop` returns a true value.

        Raises:
            OutputError: the folder could not be created, or another batch is writing to it.
            SaveError: the manifest could not be written; the jobs that have ended are in it.
        """
        create_folder(self._folder)
        path = self._folder / manifest.NAME
        with claimed([path]), Manifest(path, keep=bool(self._before.records)) as log:
            self._began = time.monotonic()
            on_event(BatchBegan(len(self._backlog), len(self._records), executor.workers))
            with contextlib.closing(executor.run(self._backlog, on_event, should_stop)) as results:
                for result in results:
                    record = self._record(result)
                    if record.state != "stopped":
                        log.append(record)
                    on_event(self._add(record))
        return self._summary()

    def _record(self, result: JobResult) -> Record:
        planned = self._backlog.planned(result.id)
        return Record(
            planned.id,
            planned.name,
            result.state,
            self._backlog.labels(planned),
            result.steps,
            result.seconds,
            result.loss,
            result.message,
        )

    def _add(self, record: Record) -> JobEnded:
        """Add a job that has ended; the event of it."""
        self._records[record.id] = record
        self._ended += 1
        self._failed += record.state == "failed"
        count, finished = len(self._backlog), len(self._records)
        return JobEnded(
            record.id,
            record.output,
            record.state,
            record.message,
            finished=finished,
            failed=self._failed,
            jobs=count,
            seconds_left=(count - finished) * (time.monotonic() - self._began) / self._ended,
        )

    def _summary(self) -> Summary:
        ended = tuple(self._records[each.id] for each in self._backlog if each.id in self._records)
        waiting = len(self._backlog) - sum(record.state != "stopped" for record in ended)
        return Summary(ended, waiting, tuple(self._unreadable))


def check_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that cannot be used for a batch.

    Raises:
        OutputError: it is a file, cannot be created, or contains files although neither is allowed.
    """
    where = printable(folder)
    if not os.path.isdir(folder):
        if os.path.lexists(folder):
            raise OutputError(f"{where}: is not a folder; give the name of a folder, or a name that is not in use")
        files.check_output(folder, overwrite=False)  # a folder can be created where a file could
    elif os.listdir(folder) and not (resume or overwrite):
        raise OutputError(
            f"{where}: contains files; choose another folder, resume what is in it (--resume), or replace them "
            "(--overwrite)"
        )


def _names_in(place: Place) -> set[str]:
    if isinstance(place, str):
        return {storage.name_of(uri) for uri in storage.files_at(place)}
    return set(os.listdir(place)) if os.path.isdir(place) else set()


def create_folder(folder: Path) -> None:
    """Create the folder if it does not exist.

    Raises:
        OutputError: it cannot be created.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{printable(folder)}: cannot be created ({error.strerror}); choose another") from error
