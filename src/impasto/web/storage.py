"""How much of the disk a server uses, and what it removes when that is too much."""

import logging
import shutil
import time
from typing import Any

from impasto.errors import ImpastoError
from impasto.web.feed import Feed
from impasto.web.files import Files
from impasto.web.jobs import Jobs
from impasto.web.workspace import Workspace, size_of

UNDO_SECONDS = 3600.0
"""Seconds for which a deleted job can be restored."""
UNUSED_SECONDS = 86400.0
"""Seconds after which an upload that no job needs is removed."""
CACHE_BYTES = 2**30
"""Bytes of thumbnails and tiles, which can be made again."""

log = logging.getLogger("impasto.web")


class Storage:
    """Keeps the data folder below a quota.

    Args:
        quota: bytes; None: no limit.
    """

    def __init__(self, workspace: Workspace, jobs: Jobs, files: Files, feed: Feed, quota: int | None) -> None:
        self._workspace, self._jobs, self._files, self._feed, self.quota = workspace, jobs, files, feed, quota

    def as_dict(self) -> dict[str, Any]:
        """Bytes used, allowed and free."""
        return {"used": self.used, "quota": self.quota, "free": self.free}

    @property
    def free(self) -> int:
        """Bytes that are free on the disk."""
        return shutil.disk_usage(self._workspace.root).free

    @property
    def used(self) -> int:
        """Bytes of uploads, results, and what is derived from them."""
        return sum(size_of(self._workspace.root / name) for name in ("files", "jobs", "cache"))

    def clean(self) -> None:
        """Remove what was deleted, uploads that no job needs, and, above the quota, the oldest jobs but favorites."""
        now = time.time()
        self._workspace.trim_cache(CACHE_BYTES)
        for number in self._jobs.removable(deleted_before=now - UNDO_SECONDS):
            self._remove(number)
        for number in {*self._workspace.numbers()} - self._jobs.numbers():  # left by a crash while it was removed
            self._workspace.discard_images(number)
        self._remove_uploads(now - UNUSED_SECONDS)
        if self.quota is not None and self.used > self.quota:
            self._workspace.trim_cache(0)
            for number in self._jobs.removable():
                if self.used <= self.quota:
                    break
                log.warning("job %d is removed: the quota of %d bytes is exceeded", number, self.quota)
                self._remove(number)
                self._remove_uploads(now - UNDO_SECONDS)

    def _remove(self, number: int) -> None:
        try:
            self._jobs.remove(number)
            self._workspace.discard_images(number)
            self._feed.publish("removed", {"number": number})
        except ImpastoError as error:
            log.error("job %d could not be removed: %s", number, error)

    def _remove_uploads(self, before: float) -> None:
        for digest in self._files.unused(self._jobs.inputs(), before):
            self._files.remove(digest)
