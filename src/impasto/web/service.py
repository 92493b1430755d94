"""`Service`: the parts of a server and how they are connected; the routes call it."""

import json
import logging
import threading
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from impasto.batches.local import LocalExecutor
from impasto.errors import printable
from impasto.settings.model import one_line
from impasto.web.data_folder import locked
from impasto.web.database import Database
from impasto.web.feed import Feed
from impasto.web.files import Files, StoredFile
from impasto.web.image_service import ImageService
from impasto.web.jobs import Jobs
from impasto.web.problems import ConflictError, FullError, RequestError, UnknownError
from impasto.web.saved_settings import SavedSettings
from impasto.web.scheduler import Scheduler
from impasto.web.setup import DEMO
from impasto.web.spec import JobSpec, changed
from impasto.web.storage import Storage
from impasto.web.stored_job import StoredJob
from impasto.web.workspace import Workspace

CLEAN_SECONDS = 60.0
"""Seconds between two looks at the disk and at idle processes."""
MIN_FREE_BYTES = 2**28
"""Free space below which no job and no upload is accepted."""

log = logging.getLogger("impasto.web")


class Service:
    """A server without its HTTP: everything in one data folder.

    Args:
        root: the data folder; it is created.
        executor: runs the jobs.
        images: reads and makes images.
        quota: bytes that the folder may take; None: any number.

    Raises:
        OutputError: the folder cannot be used, or another server uses it.
    """

    def __init__(
        self, root: Path, executor: LocalExecutor, images: ImageService | None = None, quota: int | None = None
    ) -> None:
        self.root, self.images = root, images or ImageService()
        self._lock = locked(root)
        self.database = Database(root / "impasto.sqlite3")
        self.feed = Feed()
        self.workspace = Workspace(root)
        self.files = Files(self.database, root / "files", self._inspect)
        self.jobs = Jobs(self.database, self._publish)
        self.saved = SavedSettings(self.database, self.feed)
        self.scheduler = Scheduler(self.jobs, self.files, self.workspace, self.feed, executor)
        self.storage = Storage(self.workspace, self.jobs, self.files, self.feed, quota)
        self.devices = sorted({compute.device for compute in executor.computes})
        self._closing = threading.Event()
        self._cleaner = threading.Thread(target=self._clean, name="cleaner")

    def start(self) -> None:
        """Start to run jobs."""
        self.scheduler.start()
        self._cleaner.start()

    def close(self) -> None:
        """Stop the running jobs, which are resumed at the next start, and release the folder."""
        self._closing.set()
        self.feed.close()
        if self._cleaner.is_alive():  # it was started
            self.scheduler.close()
            self._cleaner.join()
        self.images.close()
        self.database.close()
        self._lock.release()

    def view(self, job: StoredJob) -> dict[str, Any]:
        """A job as clients get it."""
        progress = self.scheduler.progress(job)
        # what a job that goes on has saved when it was paused is not its result
        facts = None if job.state == "running" else self.workspace.result_facts(job.number)
        spec = json.loads(job.spec_text)
        return {
            "number": job.number,
            "name": job.name,
            "state": job.state,
            "priority": job.priority,
            "favorite": job.favorite,
            "parent": job.parent,
            "created": job.created,
            "started": job.started,
            "ended": job.ended,
            "spec": spec,
            "changed": changed(spec["settings"]),
            "step": progress.get("step", 0),
            "steps": progress.get("steps", 0),
            "scale": progress.get("scale"),
            "seconds": progress.get("seconds", 0.0),
            "seconds_left": progress.get("seconds_left") if job.state == "running" else None,
            "loss": progress.get("loss") or None,
            "memory": progress.get("memory"),
            "message": job.message,
            "request": job.request,
            "preview": self.workspace.preview_version(job.number),
            "result": None if facts is None else {**facts, "complete": job.state == "done"},
            "timelapse": (self.workspace.result(job.number).with_name("timelapse.webp")).exists(),
            "method": spec["settings"]["method"],
            "deleted": job.deleted is not None,
            "version": job.version,
        }

    def present_image(self, job: StoredJob) -> Path:
        """The image that a job has come to; raises as `Workspace.present_image`."""
        return self.workspace.present_image(job.number, is_running=job.state == "running")

    def create(self, spec: JobSpec, parent: int | None = None) -> StoredJob:
        """Add a job.

        Raises:
            UnknownError: a file that was not uploaded.
            FullError: the disk is almost full.
        """
        self.check_space()
        return self.jobs.create(self._prepared(spec), parent)

    def edit(self, number: int, spec: JobSpec) -> StoredJob:
        """Replace the spec of a waiting job.

        Raises:
            UnknownError: a file that was not uploaded.
            ConflictError: the job has started.
        """
        return self.jobs.edit(number, spec=self._prepared(spec))

    def _prepared(self, spec: JobSpec) -> JobSpec:
        """The spec with a name, after a check that its files exist."""
        for digest in spec.digests:
            self.files.get(digest)
        self.files.touch(spec.digests)
        return spec if spec.name else spec.model_copy(update={"name": self._name(spec)})

    def _name(self, spec: JobSpec) -> str:
        """The name of a job that has none: those of its content image and its first style images."""
        digests = [spec.content, *(style.file for style in spec.styles)][:3]
        names = (self.files.get(digest).name for digest in digests if digest is not None)
        return "-".join(name.rpartition(".")[0] or name for name in names)[:200]

    def check_space(self) -> None:
        """Refuse new work if the disk is almost full.

        Raises:
            FullError: it is.
        """
        if (free := self.storage.free) < MIN_FREE_BYTES:
            raise FullError(f"only {free >> 20} MB are free on the disk of the server; delete results, or free space")

    def fork(self, number: int, changes: dict[str, Any]) -> StoredJob:
        """A new job that starts from the present image of another one.

        Args:
            changes: settings, styles, keep, detail, steps and name as in a spec; what is missing stays.

        Raises:
            ConflictError: there is no image yet.
            RequestError, SettingError: changes that are not possible.
        """
        parent = self.jobs.get(number)
        try:
            image = self.present_image(parent)
        except UnknownError as error:
            raise ConflictError(f"job {number}: has no image yet; wait for its first preview") from error
        initial = self.import_image(image, f"{number}{image.suffix}")
        spec = parent.spec.model_dump(mode="json")
        settings = {**spec["settings"], **changes.get("settings", {})}
        # the image has the large shapes already: only scales from its size on are of use
        settings["first_scale"] = max(16, min(settings["size"], max(initial.facts["width"], initial.facts["height"])))
        if changes.get("steps") is not None:
            settings["steps"] = changes["steps"]
            settings["full_steps_scale"] = settings["size"]
        kept = {name: value for name, value in changes.items() if name in {"styles", "keep", "detail", "name"}}
        try:
            forked = JobSpec.model_validate({**spec, **kept, "settings": settings, "init": initial.id})
        except ValidationError as error:
            raise RequestError(one_line(error)) from error
        return self.create(forked, parent=number)

    def import_image(self, path: Path, name: str) -> StoredFile:
        """Add a file of this machine to the uploaded ones, as a copy."""
        partial, digest = self.files.copy(path)
        return self.files.add(partial, digest, name)[0]

    def import_demo(self, name: str) -> StoredFile:
        """Add a bundled image.

        Raises:
            UnknownError: there is none of that name.
        """
        if name not in DEMO:
            raise UnknownError(f"demo image {printable(name)[:80]}: is not known; available: {', '.join(DEMO)}")
        with resources.as_file(resources.files("impasto") / "demo" / name) as path:
            return self.import_image(path, name)

    def estimate(self, spec: JobSpec) -> dict[str, Any]:
        """What a job would need: memory in bytes, seconds, and its scales."""
        named = spec.content or (spec.styles[0].file if spec.styles else None)
        facts = {"width": 1, "height": 1} if named is None else self.files.get(named).facts
        width, height = (1, 1) if spec.content is None else (facts["width"], facts["height"])
        if spec.settings.method == "fast":
            return {"memory": None, "seconds": 1.0, "scales": [], "width": width, "height": height}
        settings = spec.settings.model_dump(mode="json")
        found: dict[str, Any] = self.images.ask(
            "estimate", settings=settings, width=width, height=height, styles=len(spec.styles), memory=None
        )
        return {**found, "width": found["scales"][-1]["width"], "height": found["scales"][-1]["height"]}

    def derived(self, source: Path, name: str, do: str, **arguments: Any) -> Path:
        """A file that the image process makes of an image; it is kept for the next time.

        Raises:
            UnknownError: there is none, such as a mask of an image without an alpha channel.
        """
        target = self.workspace.cached(source, name)
        if not target.exists() and self.images.ask(do, path=str(source), target=str(target), **arguments) is False:
            raise UnknownError(f"the image has no {arguments.get('kind', name)} to make a mask of")
        return target

    def metrics(self) -> dict[str, float]:
        """Numbers for Prometheus, by name and labels."""
        counts = self.jobs.counts()
        states = ("waiting", "running", "paused", "done", "stopped", "failed", "canceled")
        return {
            **{f'impasto_jobs{{state="{state}"}}': counts.get(state, 0) for state in states},
            "impasto_event_streams": self.feed.clients,
            "impasto_storage_free_bytes": self.storage.free,
        }

    def _inspect(self, path: Path, name: str) -> dict[str, Any]:
        facts: dict[str, Any] = self.images.ask("inspect", path=str(path), name=name)
        return facts

    def _publish(self, job: StoredJob) -> None:
        self.feed.publish("job", self.view(job))

    def _clean(self) -> None:
        """In a thread: keep the disk and the memory clean."""
        while True:
            try:
                self.storage.clean()
            except Exception:
                log.exception("cleaning failed")
            for _ in range(10):
                if self._closing.wait(CLEAN_SECONDS / 10):
                    return
                self.images.end_if_idle()
                self.feed.keep_alive()
