"""Every input of the corpus is read with the colors that an independent reader gives, or refused for what it is."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from corpus import entries

from impasto.errors import PictureError
from impasto.images.loading import load

DOCS = Path(__file__).parents[2] / "docs" / "images.md"
REFERENCE = json.loads(Path(__file__).with_name("reference.json").read_text())
READ = [entry for entry in entries() if not entry.refused]


def named(chosen):
    return {"argvalues": chosen, "ids": [entry.name for entry in chosen]}


@pytest.mark.parametrize("entry", **named(READ))
def test_the_colors_are_those_of_an_independent_reader(entry):
    picture = load(entry.data, name="a", max_pixels=1_000_000)
    colors = picture.tensor.permute(1, 2, 0).numpy() * 255
    if entry.formula is not None:
        assert np.abs(colors - entry.formula).max() <= entry.tolerance
        return
    for x, y, *expected, alpha in REFERENCE[entry.name]:
        found = 1.0 if picture.alpha is None else float(picture.alpha[0, y, x])
        assert abs(found * 65535 - alpha) <= 1
        if alpha:  # readers differ in the color of a transparent pixel
            assert np.abs(colors[y, x] - np.array(expected) / 257).max() <= entry.tolerance


@pytest.mark.parametrize("entry", **named(READ))
def test_what_was_converted_or_ignored_is_noted_and_nothing_else(entry):
    notes = load(entry.data, name="a", max_pixels=1_000_000).notes
    assert len(notes) == len(entry.notes)
    for words in entry.notes:
        assert any(words in note for note in notes)


@pytest.mark.parametrize("entry", **named([entry for entry in entries() if entry.refused]))
def test_a_file_that_cannot_be_read_is_refused_for_what_it_is(entry, capfd):
    with pytest.raises(PictureError) as caught:
        load(entry.data, name="a.png", max_pixels=1_000_000)
    message = str(caught.value)
    assert message.startswith("a.png: ")
    assert entry.refused in message
    assert "; " in message  # what to do
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not DOCS.exists(), reason="an unpacked sdist has no docs")
@pytest.mark.parametrize(("section", "refused"), [("## What is noted", False), ("## What is refused", True)])
def test_the_docs_quote_notes_and_refusals(section, refused):
    table = DOCS.read_text(encoding="utf-8").split(section)[1].split("## ")[0]
    quoted = [
        words for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for words in re.findall("`(.+?)`", row)
    ]
    assert len(quoted) > 5
    messages = [message for entry in entries() for message in outcome(entry) if bool(entry.refused) == refused]
    for words in quoted:
        assert any(words in message for message in messages), words


def outcome(entry):
    try:
        return load(entry.data, name="a", max_pixels=1_000_000).notes
    except PictureError as error:
        return (str(error),)
