import dataclasses
import json
import pickle

import pytest

from impasto import events

EXAMPLES = [
    events.Began("stylize", 40, 30, 100, "cpu", "float32", 2, "bundled"),
    events.Planned([{"width": 40, "height": 30, "steps": 100, "seconds": 12.5, "strip": None}], 10**9, 12.5),
    events.Noted("content.png: only the first image is used"),
    events.Stepped(0, 40, 6.0, 1.0, 2.0, 3.0, 4.0, seconds=0.5, layers={"content": {"block4_conv2": 1.0}}),
    events.Ended(100, 12.5, 6.0, 1.0, 2.0, 3.0, 4.0, complete=True),
    events.Painted("content.png", 40, 30, 0.25),
    events.Saved("out.png"),
    events.BatchBegan(48, 2, 8),
    events.JobBegan("0" * 64, "out/a.png"),
    events.JobProgressed("0" * 64, "out/a.png", 3, 100),
    events.JobEnded("0" * 64, "out/a.png", "failed", "a.jpg: is damaged", 3, 1, 48, 12.5),
]
NAMES = [type(event).__name__ for event in EXAMPLES]


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event in EXAMPLES} == set(events.Event.__subclasses__())


@pytest.mark.parametrize("event", EXAMPLES, ids=NAMES)
def test_an_event_can_be_pickled(event: events.Event) -> None:
    assert pickle.loads(pickle.dumps(event)) == event


@pytest.mark.parametrize("event", EXAMPLES, ids=NAMES)
def test_an_event_is_json_with_its_name(event: events.Event) -> None:
    read = json.loads(json.dumps(event.as_dict(), allow_nan=False))
    assert read.pop("event") == type(event).__name__.lower()
    assert type(event)(**read) == event
    assert events.from_dict(event.as_dict()) == event


@pytest.mark.parametrize("event", EXAMPLES, ids=NAMES)
def test_an_event_is_immutable(event: events.Event) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, dataclasses.fields(event)[0].name, "changed")


def test_the_fields_of_a_step_are_those_documented_for_the_log() -> None:
    assert EXAMPLES[3].as_dict() == {
        "event": "stepped",
        "step": 0,
        "scale": 40,
        "total": 6.0,
        "content": 1.0,
        "style": 2.0,
        "tv": 3.0,
        "grain": 4.0,
        "seconds": 0.5,
        "layers": {"content": {"block4_conv2": 1.0}},
    }
