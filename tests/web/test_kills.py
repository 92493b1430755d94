"""kill -9 of the server and of its workers: nothing is lost, and results have the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from web_inputs import png

from impasto.web.client import Client

pytestmark = pytest.mark.posix("SIGKILL")
FAKE = [sys.executable, str(Path(__file__).parent / "serve_fake.py")]


@contextmanager
def process(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """A server in a process of its own, and a client of it; it is killed at the end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            yield server, Client(server.stdout.readline().strip())
        finally:
            server.kill()


def wait_for(client: Client, number: int, is_there: Callable[[dict], bool], seconds: float = 60.0) -> dict:
    deadline = time.monotonic() + seconds
    while not is_there(job := client.job(number)):
        assert time.monotonic() < deadline, job
        assert job["state"] != "failed", job["message"]
        time.sleep(0.02)
    return job


def submit(client: Client, folder: Path, count: int, **settings: object) -> list[int]:
    paths = [folder / "content.png", folder / "style.png"]
    for seed, path in enumerate(paths):
        path.write_bytes(png(64, 48, seed=seed))
    more = [{**settings, "strength": 0.1 + 0.1 * number} for number in range(count)]
    return [int(client.submit(paths[0], [paths[1]], each)["number"]) for each in more]


def test_the_queue_survives_kills_of_server_and_workers(tmp_path: Path) -> None:
    command = [*FAKE, str(tmp_path / "data")]
    with process(command) as (_, client):
        numbers = submit(client, tmp_path, 3, steps=60, size=64)
        wait_for(client, numbers[0], lambda job: job["step"] > 5)
        client.ask(numbers[2], "pause")
    for victim in ("server", "worker", "both"):
        with process(command) as (server, client):
            assert [client.job(number)["created"] > 0 for number in numbers] == [True] * 3
            number = next(n for n in numbers if client.job(n)["state"] in {"waiting", "running"})
            step = client.job(number)["step"]
            wait_for(client, number, lambda job, step=step: job["step"] > step or job["state"] == "done")  # type: ignore[misc]
            for child in psutil.Process(server.pid).children() if victim != "server" else []:
                child.send_signal(signal.SIGKILL)
            if victim == "worker":
                wait_for(client, number, lambda job: job["state"] == "done")
    with process(command) as (_, client):
        assert client.job(numbers[2])["state"] == "paused"
        client.ask(numbers[2], "resume")
        for number in numbers:
            wait_for(client, number, lambda job: job["state"] == "done")
            # no step was lost, and none taken twice but the one that was being recorded
            steps = client.call("GET", f"/api/jobs/{number}/losses?points=1000")["step"]
            assert sorted({*steps}) == [*range(60)]


def test_a_killed_run_continues_to_the_same_bytes(tmp_path: Path, narrow_weights: Path) -> None:
    options = ["--port", "0", "--data", str(tmp_path / "data"), "--weights", str(narrow_weights)]
    program = "import sys; from impasto.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "serve", *options, "--threads", "1", "--checkpoint-every", "0s"]
    with process(command) as (_, client):
        (number,) = submit(client, tmp_path, 1, steps=200, size=96, first_scale=96, faces="off")
        again = client.ask(number, "duplicate")["number"]
        wait_for(client, number, lambda job: 20 < job["step"] < 200)
    with process(command) as (_, client):
        recorded = client.job(number)["step"]  # every two seconds
        assert wait_for(client, number, lambda job: job["step"] != recorded)["step"] > 20  # from its checkpoint
        for each in (number, again):
            wait_for(client, each, lambda job: job["state"] == "done")
            client.save_result(each, tmp_path / f"{each}.png")
    # the first run was killed, the second one was not
    assert (tmp_path / f"{number}.png").read_bytes() == (tmp_path / f"{again}.png").read_bytes()


def test_a_server_that_is_asked_to_end_does_so_with_status_143(tmp_path: Path) -> None:
    command = [*FAKE, str(tmp_path / "data")]
    with process(command) as (server, client):
        (number,) = submit(client, tmp_path, 1, steps=500, size=64)
        wait_for(client, number, lambda job: job["step"] > 3)
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)
    with process(command) as (_, client):
        assert client.job(number)["state"] in {"waiting", "running"}
        assert json.loads((tmp_path / "data" / "jobs" / str(number) / "losses.jsonl").read_text().splitlines()[0])
