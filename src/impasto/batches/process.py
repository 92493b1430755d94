"""`python -m impasto.batches.process`: a worker process, which reads jobs from standard input and prints what happens.

Both are JSON Lines. In: {"compute": {...}} first; {"job": {...}, "overwrite": false, "memory": null} for each job;
{"stop": RESULT} to stop the job with that result after its step. Out: {"began": RESULT} at the start of a job, events
as `Event.as_dict` has them, and {"result": {...}} at the end of a job. The process ends with its standard input: it
does not outlive the process that has started it.
"""

import functools
import json
import os
import queue
import signal
import sys
import threading
from dataclasses import asdict
from typing import IO, Any

from impasto.batches.reporter import Reporter
from impasto.jobs.compute import Compute
from impasto.jobs.job import Job
from impasto.jobs.staging import StagingWorker


class _Sender:
    """Prints lines of JSON to a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __call__(self, message: dict[str, Any]) -> None:
        self._file.write(json.dumps(message).encode() + b"\n")
        self._file.flush()


def print_devices(device: str) -> int:
    """Print the names of the GPUs that `device` stands for, as JSON: all of a machine for "auto" and "cuda"."""
    import torch

    from impasto.errors import SettingError
    from impasto.vgg.device import select_device

    try:
        selected = select_device(device)
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    count = torch.cuda.device_count() if selected.type == "cuda" and selected.index is None else 1
    names = [f"cuda:{number}" for number in range(count)] if count > 1 else [str(selected)]
    print(json.dumps([] if selected.type == "cpu" else names))  # noqa: T201
    return 0


def main() -> None:
    """Run the jobs on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the process that has started this one
    # what any package prints must not get between the messages
    send = _Sender(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    messages = queue.SimpleQueue[dict[str, Any]]()
    stopped: set[str] = set()  # the results of the jobs to be stopped
    worker = StagingWorker(Compute(**json.loads(sys.stdin.buffer.readline())["compute"]))
    threading.Thread(target=_read, args=(sys.stdin.buffer, messages, stopped, worker), daemon=True).start()
    while True:
        message = messages.get()
        job = Job.model_validate(message["job"])
        send({"began": job.outputs.result})
        report, should_stop = Reporter(send, job), functools.partial(stopped.__contains__, job.outputs.result)
        result = worker.run(job, report, should_stop, overwrite=message["overwrite"], memory=message["memory"])
        stopped.discard(job.outputs.result)
        send({"result": asdict(result)})


def _read(
    file: IO[bytes], messages: "queue.SimpleQueue[dict[str, Any]]", stopped: set[str], worker: StagingWorker
) -> None:
    """In a thread: read messages; end the process when there are no more."""
    for line in file:
        message = json.loads(line)
        if "stop" in message:
            stopped.add(message["stop"])
        else:
            stopped.discard(message["job"]["outputs"]["result"])  # a stop that came after the end of its last run
            messages.put(message)
    worker.close()
    os._exit(0)  # at once: its checkpoint is what remains, as of any process that is killed


if __name__ == "__main__":
    if sys.argv[1:2] == ["--devices"]:
        sys.exit(print_devices(sys.argv[2]))
    main()
