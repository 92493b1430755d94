"""The server: what kills do to its jobs, what clients cost a run, how long lists take, and what it needs when idle.

`python -m benchmarks.serve kills 200` runs jobs while server, worker or both are killed at random moments, and compares
the results with those of a server that was left alone. `clients 50` compares the steps per second of a run, and the CPU
time of the server, without and with clients that receive its events. `queue 10000` lists jobs. `idle` prints memory.
"""

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from statistics import median

import psutil

from impasto.web.client import Client
from impasto.web.database import Database
from impasto.web.jobs import Jobs
from impasto.web.spec import JobSpec, StyleSpec

DEMO = Path(str(resources.files("impasto") / "demo"))
KILLED = {"size": 64, "first_scale": 32, "steps": 60}
VICTIMS = ("server", "worker", "both")
RUN = {"size": 256, "steps": 150}

# with the lowest priority: the clients take what the server and its worker leave, as clients on other machines would
_READER = """
import asyncio, os, sys
os.nice(19)
async def read(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /api/events HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n".encode())
    while await reader.read(65536):
        pass
async def main(host, port, count):
    await asyncio.gather(*(read(host, int(port)) for _ in range(int(count))))
asyncio.run(main(*sys.argv[1:]))
"""


@contextlib.contextmanager
def server(folder: Path, *options: str) -> Iterator[tuple[psutil.Process, Client]]:
    """A server in a process of its own, killed at the end, and a client of it."""
    command = [sys.executable, "-m", "impasto", "serve", "--port", "0", "--data", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield psutil.Process(process.pid), Client(process.stdout.readline().strip())
        finally:
            process.kill()


def submit(client: Client, count: int, **settings: object) -> list[int]:
    """The numbers of new jobs, which differ in their strengths."""
    images = DEMO / "portrait.jpg", DEMO / "waves.jpg"
    strengths = [0.1 + 0.8 * number / count for number in range(count)]
    return [client.submit(images[0], [images[1]], {**settings, "strength": each})["number"] for each in strengths]


def wait(client: Client, numbers: list[int]) -> list[dict]:
    """The jobs when all have ended."""
    return [client.wait(number) for number in numbers]


def digests(folder: Path, numbers: list[int]) -> list[str]:
    """Hashes of results."""
    return [hashlib.sha256((folder / "jobs" / str(n) / f"{n}.png").read_bytes()).hexdigest() for n in numbers]


def kill(process: psutil.Process, victim: str) -> None:
    """Kill the server, its workers, or all."""
    workers = [each for each in process.children() if "impasto.batches.process" in each.cmdline()]
    for each in (*(workers if victim != "server" else []), *([process] if victim != "worker" else [])):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.send_signal(signal.SIGKILL)


def kills(count: int, jobs: int) -> None:
    """Kill at random moments; whenever all jobs are done, they are submitted again."""
    options = ("--checkpoint-every", "0s", "--threads", "1")
    moments, began, done, rounds = random.Random(0), time.monotonic(), 0, 1
    with tempfile.TemporaryDirectory() as name:
        calm, killed = Path(name) / "calm", Path(name) / "killed"
        with server(calm, *options) as (_, client):
            expected = digests(calm, [job["number"] for job in wait(client, submit(client, jobs, **KILLED))])
        with server(killed, *options) as (_, client):
            submit(client, jobs, **KILLED)
        while done < count:
            with server(killed, *options) as (process, client):
                if not [*client.jobs(["waiting", "running"])]:
                    rounds += 1
                    submit(client, jobs, **KILLED)
                time.sleep(moments.uniform(0, 5))
                victim = VICTIMS[done % 3]
                kill(process, victim)
                done += 1
                if victim == "worker":
                    time.sleep(moments.uniform(0, 5))
            if done % 20 == 0:
                print(f"{done} kills, {rounds - 1} rounds, {time.monotonic() - began:.0f} s", flush=True)
        with server(killed, *options) as (_, client):
            ended = wait(client, sorted(job["number"] for job in client.jobs()))
        results = digests(killed, [job["number"] for job in ended])
    lost = rounds * jobs - len(ended) + sum(job["state"] != "done" for job in ended)
    changed = sum(result != expected[index % jobs] for index, result in enumerate(results))
    print(f"{done} kills, {len(ended)} jobs: {lost} lost, {changed} with other bytes; {time.monotonic() - began:.0f} s")


def clients(count: int, repetitions: int) -> None:
    """Steps per second, and the share of a core that the server takes, without and with clients, in turns."""
    paces: dict[int, list[float]] = {0: [], count: []}
    shares: dict[int, list[float]] = {0: [], count: []}
    with tempfile.TemporaryDirectory() as name, server(Path(name), "--threads", "1") as (process, client):
        address = client.url.removeprefix("http://").split(":")
        wait(client, submit(client, 1, **RUN))
        for turn in range(2 * repetitions):
            listening = count if turn % 2 else 0
            with subprocess.Popen([sys.executable, "-c", _READER, *address, str(listening)]) as readers:
                time.sleep(1)
                before = cpu_seconds(process)
                (job,) = wait(client, submit(client, 1, **RUN))
                shares[listening].append((cpu_seconds(process) - before) / job["seconds"])
                readers.kill()
            paces[listening].append(job["step"] / job["seconds"])
    for number, values in paces.items():
        low, high, share = min(values), max(values), median(shares[number])
        print(f"{number} clients: {median(values):.2f} ({low:.2f} to {high:.2f}) steps per second, server {share:.2%}")
    print(f"ratio of medians {median(paces[count]) / median(paces[0]):.3f}")


def cpu_seconds(process: psutil.Process) -> float:
    """Seconds of CPU time that a process has taken, without its children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def queue(count: int) -> None:
    """Milliseconds of lists of waiting jobs."""
    spec = JobSpec(content="c" * 64, styles=(StyleSpec(file="5" * 64),), name="a job")
    with tempfile.TemporaryDirectory() as name:
        database = Database(Path(name) / "impasto.sqlite3")
        table = Jobs(database)
        table.create(spec)
        with database.transaction() as connection:
            columns = "spec, name, state, priority, position, created"
            for number in range(1, count):
                connection.execute(
                    f"INSERT INTO jobs ({columns}) SELECT spec, name, 'paused', priority, ?, created FROM jobs "
                    "WHERE number = 1",
                    (number,),
                )
            connection.execute("UPDATE jobs SET state = 'paused'")
        database.close()
        with server(Path(name)) as (_, client):
            for limit in (50, 200, 1000):
                times = []
                for _ in range(9):
                    began = time.perf_counter()
                    client.call("GET", f"/api/jobs?state=paused&limit={limit}")
                    times.append(1e3 * (time.perf_counter() - began))
                print(f"{count} jobs, page of {limit}: {median(times):.0f} ms")
            began = time.perf_counter()
            listed = len([*client.jobs(["paused"])])
            print(f"all {listed}: {1e3 * (time.perf_counter() - began):.0f} ms")


def idle() -> None:
    """Memory of a server that has nothing to do, and after a job."""
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as (process, client):
        client.call("GET", "/api/setup")
        print(f"idle: {process.memory_info().rss / 1e6:.0f} MB, {len(process.children())} other processes")
        wait(client, submit(client, 1, **KILLED))
        print(f"after a job: {process.memory_info().rss / 1e6:.0f} MB")


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["kills", "clients", "queue", "idle"])
    parser.add_argument("count", type=int, nargs="?", default=0)
    parser.add_argument("--jobs", type=int, default=6, help="for kills")
    parser.add_argument("--repetitions", type=int, default=5, help="for clients")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if given.what == "kills":
        kills(given.count, given.jobs)
    elif given.what == "clients":
        clients(given.count, given.repetitions)
    elif given.what == "queue":
        queue(given.count)
    else:
        idle()


if __name__ == "__main__":
    main()
