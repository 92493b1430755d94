"""Server-sent events: a client that comes back gets what it has missed."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from impasto.web import feed as feed_module
from impasto.web.feed import Feed
from impasto.web.problems import BusyError


async def take(stream: AsyncIterator[bytes], count: int) -> list[dict]:
    """The next events, as dictionaries of their fields."""
    events: list[dict] = []
    while len(events) < count:
        text = (await anext(stream)).decode()
        if "event:" in text:
            events.append(dict(line.split(": ", 1) for line in text.strip().splitlines()))
    return events


def test_a_new_client_is_reset_and_then_gets_all_events() -> None:
    async def scenario() -> None:
        feed = Feed()
        feed.publish("job", {"number": 1})
        stream = await feed.stream("")
        feed.publish("job", {"number": 2})
        first, second = await take(stream, 2)
        assert (first["event"], json.loads(second["data"])) == ("reset", {"number": 2})

    asyncio.run(scenario())


def test_a_client_that_comes_back_gets_exactly_what_it_missed() -> None:
    async def scenario() -> None:
        feed = Feed()
        feed.publish("job", {"number": 0})
        stream = await feed.stream("")
        (reset,) = await take(stream, 1)
        for number in range(1, 6):
            feed.publish("job", {"number": number})
        seen = await take(stream, 2)
        await stream.aclose()  # type: ignore[attr-defined]
        again = await feed.stream(seen[-1]["id"])
        feed.publish("job", {"number": 6})
        rest = await take(again, 4)
        assert [json.loads(event["data"])["number"] for event in (*seen, *rest)] == [1, 2, 3, 4, 5, 6]
        assert len({event["id"] for event in (reset, *seen, *rest)}) == 7

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "last", ["", "x", "-", "other-3", "1e99", "{run}-99999", "{run}--1", "{run}-0", "{run}-" + "9" * 50]
)
def test_an_id_that_is_unknown_or_too_old_leads_to_a_reset(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "KEPT", 3)

    async def scenario() -> None:
        feed = Feed()
        for number in range(6):
            feed.publish("job", {"number": number})
        (newest,) = await take(await feed.stream(""), 1)
        run = newest["id"].split("-")[0]
        (event,) = await take(await feed.stream(last.replace("{run}", run)), 1)
        assert (event["event"], event["id"]) == ("reset", f"{run}-6")

    asyncio.run(scenario())


def test_clients_are_limited_and_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_CLIENTS", 2)

    async def scenario() -> None:
        feed = Feed()
        streams = [await feed.stream("") for _ in range(2)]
        with pytest.raises(BusyError):
            await feed.stream("")
        await take(streams[0], 1)
        await streams[0].aclose()  # type: ignore[attr-defined]
        await feed.stream("")
        assert feed.clients == 2

    asyncio.run(scenario())


def test_a_client_that_reads_too_slowly_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUEUE", 10)

    async def scenario() -> None:
        feed = Feed()
        stream = await feed.stream("")
        await take(stream, 1)
        for number in range(20):
            feed.publish("job", {"number": number})
        await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await take(stream, 20)
        assert feed.clients == 0

    asyncio.run(scenario())


def test_events_reach_the_clients_of_every_event_loop() -> None:
    feed, is_listening = Feed(), threading.Event()

    async def listen(count: int, then: Callable[[], None]) -> list[list[dict]]:
        streams = [await feed.stream(feed.last_id) for _ in range(count)]
        then()
        return [await take(stream, 2) for stream in streams]

    with ThreadPoolExecutor() as threads:
        other = threads.submit(lambda: asyncio.run(listen(2, is_listening.set)))
        is_listening.wait()

        def publish() -> None:
            for number in (1, 2):
                feed.publish("job", {"number": number})

        seen = [*asyncio.run(listen(3, publish)), *other.result()]
    assert [[json.loads(event["data"])["number"] for event in events] for events in seen] == [[1, 2]] * 5


def test_closing_ends_all_streams() -> None:
    async def scenario() -> None:
        feed = Feed()
        stream = await feed.stream("")
        await take(stream, 1)
        feed.close()
        with pytest.raises(StopAsyncIteration):
            await take(stream, 1)

    asyncio.run(scenario())
