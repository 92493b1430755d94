"""Uploads of the files that the decoders are tested with: the server says of each what the library says."""

from pathlib import Path

import pytest
from corpus import entries
from web_server import Serve

from impasto.web import guard
from impasto.web.client import ServerError


def test_every_damaged_or_unusual_file_is_taken_or_refused_as_by_the_library(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "UPLOADS", 10_000)
    with serve(tmp_path / "data") as running:
        taken, wrong = 0, []
        for entry in entries():
            try:
                file = running.client.call("POST", "/api/files?name=a.png", entry.data)
            except ServerError as error:
                if not (
                    entry.refused and error.status == 415 and entry.refused in str(error) and "\n" not in str(error)
                ):
                    wrong.append(f"{entry.name}: {error}")
                continue
            taken += 1
            if entry.refused or len(file["notes"]) != len(entry.notes):
                wrong.append(f"{entry.name}: {file['notes']}")
        assert wrong == []
        assert taken > 100
        assert running.client.call("GET", "/healthz") == {"status": "ok"}
