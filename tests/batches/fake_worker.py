"""A worker process without torch, for the tests of executors: it waits, writes a file, or ends, as its jobs say.

The style strength of a job is the seconds that it takes; the stem of its content image may begin with
"crash" (the process ends), "once" (it ends the first time), "further" (it ends five times, one step further each time),
"never" (it ends before it begins), "fail" (the job fails) or "noisy" (it prints).
"""

import json
import os
import queue
import sys
import threading
from pathlib import Path

LINES: "queue.SimpleQueue[dict]" = queue.SimpleQueue()
STOP = threading.Event()


def read() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "stop" in message:
            STOP.set()
        else:
            LINES.put(message)
    os._exit(0)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run(job: dict, memory: object) -> dict:
    output = Path(job["outputs"]["result"])
    kind = Path(job["content"]["path"]).stem.split("-")[0]
    attempts = output.with_suffix(".attempts")
    with attempts.open("a") as file:
        file.write(f"{memory}\n")
    if kind == "crash" or (kind == "once" and len(attempts.read_text().splitlines()) == 1):
        os.kill(os.getpid(), 9)
    if kind == "further" and (step := len(attempts.read_text().splitlines())) < 6:
        progress = {"id": "", "output": str(output), "step": step, "steps": 6}
        say(json.dumps({"event": "jobprogressed", **progress}))
        os.kill(os.getpid(), 9)
    if kind == "noisy":
        say("[1, 2")
    is_stopped = STOP.wait(job["settings"]["strength"])
    if kind != "fail" and not is_stopped:
        output.write_bytes(b"image")
    state = "failed" if kind == "fail" else "stopped" if is_stopped else "done"
    message = "it is damaged" if kind == "fail" else ""
    return {"id": "", "output": str(output), "state": state, "message": message, "loss": {"total": 1.0}}


def main() -> None:
    threading.Thread(target=read, daemon=True).start()
    LINES.get()
    while True:
        message = LINES.get()
        if Path(message["job"]["content"]["path"]).stem == "never":
            os.kill(os.getpid(), 9)
        say(json.dumps({"began": message["job"]["outputs"]["result"]}))
        say(json.dumps({"result": run(message["job"], message["memory"])}))


if __name__ == "__main__":
    main()
