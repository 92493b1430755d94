"""`StagingWorker`: executes jobs whose files are at URIs. It works on local copies, and uploads what it has written."""

import collections
import contextlib
import dataclasses
import functools
import os
import shutil
import socket
import tempfile
import weakref
from pathlib import Path

from impasto import storage
from impasto.arguments import check_callable
from impasto.errors import ImpastoError, OutputError, SaveError, printable
from impasto.events import Event, Noted, OnEvent, Saved
from impasto.input_files import sha256_of
from impasto.jobs.job import InputFile, Job, JobOutputs
from impasto.jobs.outputs import checkpoint_path
from impasto.jobs.result import JobResult
from impasto.jobs.runner import ShouldStop
from impasto.jobs.worker import Worker, failed
from impasto.storage import is_uri

CACHED_FILES = 64
"""Input files that a worker keeps from one job to the next."""
_DURING_RUN = ("preview", "log", "checkpoint")
"""Outputs that are uploaded while the run goes on; the log first, so that it has the steps that the checkpoint has."""
_UPLOADED = ("log", "preview", "timelapse", "checkpoint", "result")
"""Outputs in the order in which they are uploaded at the end."""
_RESUMED = ("result", "log", "checkpoint")
"""Outputs that an earlier attempt, on any machine, may have left, and that a job looks at."""


class StagingWorker(Worker):
    """A worker whose jobs may have URIs.

    Input files are fetched once, by their hash. Checkpoints are uploaded whenever one is saved, and fetched
    when the job is resumed on another machine.
    """

    def run(
        self,
        job: Job,
        on_event: OnEvent | None = None,
        should_stop: ShouldStop = lambda: False,
        *,
        overwrite: bool = False,
        memory: int | None = None,
    ) -> JobResult:
        """See `Worker.run`."""
        if not any(map(is_uri, job.paths)):
            return super().run(job, on_event, should_stop, overwrite=overwrite, memory=memory)
        check_callable(on_event)
        report = on_event or (lambda _: None)
        run = functools.partial(super().run, should_stop=should_stop, overwrite=overwrite, memory=memory)
        try:
            with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
                stage = _Stage(job, Path(folder), self._inputs)
                result = run(stage.job, stage.watching(report))
                stage.finish()
                return dataclasses.replace(result, output=job.outputs.result, message=stage.with_uris(result.message))
        except ImpastoError as error:
            return failed(job, error, str(error))

    def close(self) -> None:
        """Remove the local copies, which the end of the process would remove otherwise."""
        if "_scratch" in vars(self):
            shutil.rmtree(self._scratch, ignore_errors=True)

    @functools.cached_property
    def _scratch(self) -> Path:
        folder = tempfile.mkdtemp(prefix="impasto-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    @functools.cached_property
    def _inputs(self) -> "_InputCache":
        return _InputCache(self._scratch / "inputs")


class _InputCache:
    """Local copies of input files, by their hash; beyond `CACHED_FILES` the longest unused are removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: collections.OrderedDict[str, Path] = collections.OrderedDict()

    def trim(self) -> None:
        """Remove what is too much; called between two jobs."""
        while len(self._files) > CACHED_FILES:
            _, path = self._files.popitem(last=False)
            path.unlink(missing_ok=True)

    def local(self, file: InputFile) -> InputFile:
        """The same file, local.

        Raises:
            JobError: it cannot be read, or has changed since the job was created.
        """
        if not is_uri(file.path):
            return file
        if file.sha256 not in self._files:
            file = self._fetched(file)
        self._files.move_to_end(file.sha256)
        return file.model_copy(update={"path": os.fspath(self._files[file.sha256])})

    def _fetched(self, file: InputFile) -> InputFile:
        self._folder.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        path = folder / storage.name_of(file.path)  # recipes name their inputs, so it stays the same
        storage.fetch(file.path, path)
        digest = sha256_of(path)
        file.check(digest)
        self._files[digest] = path
        return file.model_copy(update={"sha256": digest})


class _Stage:
    """The local copies of a job's files.

    Attributes:
        job: the job with local paths.
    """

    def __init__(self, job: Job, folder: Path, inputs: _InputCache) -> None:
        self._uris = _output_uris(job)
        self._local = {role: folder / role / storage.name_of(uri) for role, uri in self._uris.items()}
        inputs.trim()
        local = job.with_files(lambda _, file: inputs.local(file))
        self._shown = {local.inputs[role].path: file.path for role, file in job.inputs.items() if is_uri(file.path)}
        self._shown |= {os.fspath(path): self._uris[role] for role, path in self._local.items()}
        self.job = local.model_copy(update={"outputs": self._local_outputs(job.outputs)})
        self._has_failed = False
        self._is_there = {role: self._fetch(role) for role in _RESUMED if role in self._local}
        self._stamps = {role: _stamp(path) for role, path in self._local.items()}
        self._saved = {role: stamp for role, stamp in self._stamps.items() if role in ("preview", "checkpoint")}

    def watching(self, report: OnEvent) -> OnEvent:
        """`report`, with URIs for local paths; and uploads of what the run has saved until an event."""

        def on_event(event: Event) -> None:
            self._upload_saved(report)
            if isinstance(event, Noted):
                event = Noted(self.with_uris(event.message))
            elif isinstance(event, Saved):
                event = Saved(self.with_uris(event.path))
            report(event)

        return on_event

    def with_uris(self, text: str) -> str:
        """A message with URIs for local paths."""
        for path, uri in self._shown.items():
            text = text.replace(printable(path), printable(uri))
        return text

    def finish(self) -> None:
        """Upload what the run has written, the result last; then remove the checkpoint if it is no longer needed.

        Raises:
            SaveError: a file could not be uploaded; the result stays on this machine then, where the message says.
        """
        attempts = [self._uploaded_or_error(role) for role in sorted(self._local, key=_UPLOADED.index)]
        if errors := [error for error in attempts if error is not None]:
            raise errors[-1]
        if self._is_there.get("checkpoint") and not self._local["checkpoint"].exists():
            with contextlib.suppress(ImpastoError):  # who finds it finds the complete result, too
                storage.remove(self._uris["checkpoint"])

    def _local_outputs(self, outputs: JobOutputs) -> JobOutputs:
        for path in self._local.values():
            path.parent.mkdir()
        return outputs.model_copy(update={role: os.fspath(path) for role, path in self._local.items()})

    def _fetch(self, role: str) -> bool:
        return storage.fetch_if_there(self._uris[role], self._local[role])

    def _upload_saved(self, report: OnEvent) -> None:
        saved = {role: _stamp(path) for role, path in self._local.items() if role in ("preview", "checkpoint")}
        if saved == self._saved:
            return
        self._saved = saved  # a failed upload is not tried again until there is a newer state
        try:
            for role in _DURING_RUN:
                if role in self._local:
                    self._upload(role)
        except ImpastoError as error:
            if not self._has_failed:
                report(Noted(f"{error}; the run continues"))
            self._has_failed = True

    def _upload(self, role: str) -> None:
        """Upload a file, if it has changed since it was fetched or uploaded."""
        stamp = _stamp(self._local[role])
        if stamp is None or stamp == self._stamps[role]:
            return
        storage.upload(self._local[role], self._uris[role])
        self._stamps[role], self._is_there[role] = stamp, True

    def _uploaded_or_error(self, role: str) -> ImpastoError | None:
        try:
            self._upload(role)
        except ImpastoError as error:
            if role != "result":
                return error
            path = self._local[role]
            kept = shutil.move(path, Path(tempfile.mkdtemp(prefix="impasto-"), path.name))
            return SaveError(f"{error}; the result is in {printable(kept)} on {socket.gethostname()} instead")
        return None


def _output_uris(job: Job) -> dict[str, str]:
    """The outputs at URIs, by role; the checkpoint is beside the result unless it is named.

    Raises:
        OutputError: one is an input, or two are the same.
    """
    outputs = job.outputs
    if outputs.checkpoint is None and is_uri(outputs.result):
        folder, _, name = outputs.result.rpartition("/")
        outputs = outputs.model_copy(update={"checkpoint": f"{folder}/{checkpoint_path(Path(name))}"})
    named = outputs.model_dump(exclude={"preview_every"})
    uris = {role: path for role, path in named.items() if path is not None and is_uri(path)}
    inputs = {file.path for file in job.inputs.values()}
    for uri in uris.values():
        if uri in inputs or list(uris.values()).count(uri) > 1:
            what = "is also an input" if uri in inputs else "is given for two outputs"
            raise OutputError(f"{printable(uri)}: {what}; choose another name so that nothing is lost")
    return uris


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file is replaced; None if it does not exist."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
