"""Settings that users have saved under a name."""

import json
from typing import Any

from impasto.settings.model import Settings
from impasto.web.database import Database
from impasto.web.feed import Feed
from impasto.web.problems import TooManyError, UnknownError

MAX_SAVED = 200


class SavedSettings:
    """The saved settings of a server, by name."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database, self._feed = database, feed

    def all(self) -> list[dict[str, Any]]:
        """Names and settings, in the order of names."""
        rows = self._database.rows("SELECT name, settings FROM saved_settings ORDER BY name COLLATE NOCASE")
        return [{"name": row["name"], "settings": json.loads(row["settings"])} for row in rows]

    def save(self, name: str, settings: Settings) -> None:
        """Save settings; those of the same name are replaced.

        Raises:
            TooManyError: there are too many.
        """
        if len(self.all()) >= MAX_SAVED:
            raise TooManyError(f"{MAX_SAVED} settings are saved already; delete some of them")
        text = settings.model_dump_json()
        self._database.execute("INSERT OR REPLACE INTO saved_settings (name, settings) VALUES (?, ?)", name, text)
        self._feed.publish("saved", {})

    def delete(self, name: str) -> None:
        """Delete settings.

        Raises:
            UnknownError: there are none of that name.
        """
        if not self._database.execute("DELETE FROM saved_settings WHERE name = ?", name):
            raise UnknownError("there are no saved settings of that name; see the list")
        self._feed.publish("saved", {})
