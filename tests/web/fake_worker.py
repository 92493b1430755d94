"""A worker process without torch, for the tests of the server: its jobs write small files and take steps on request.

A job takes `settings.steps` steps of 0.02 seconds. The name of its first style image says what happens at step 3:
"crash.png": the process is killed, each time; "once.png": the first time; "fail.png": the job fails.
"""

import json
import os
import queue
import struct
import sys
import threading
import time
import zlib
from pathlib import Path

LINES: "queue.SimpleQueue[dict]" = queue.SimpleQueue()
STOPPED: set[str] = set()


def read() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "stop" in message:
            STOPPED.add(message["stop"])
        else:
            LINES.put(message)
    os._exit(0)


def say(content: dict) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def png(step: int) -> bytes:
    """A PNG of 2 x 1 gray pixels, which says how many steps were taken."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, step % 256, 0]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def run(job: dict) -> dict:
    result = job["outputs"]["result"]
    folder, kind, steps = Path(result).parent, job["styles"][0]["name"], job["settings"]["steps"]
    checkpoint = folder / "checkpoint"
    first = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for step in range(first, steps):
        time.sleep(0.02)
        loss = {"total": 1.0 / (step + 1), "content": 0.5, "style": 0.5, "tv": 0.0}
        with (folder / "losses.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "scale": 64, "seconds": 0.02 * step, **loss, "layers": {}}) + "\n")
        if kind != "crash.png":
            # last, and in one move: it may be killed at any moment, and a step that the checkpoint counts was logged
            partial = checkpoint.with_suffix(".partial")
            partial.write_text(str(step + 1))
            os.replace(partial, checkpoint)
        (folder / "preview.partial").write_bytes(png(step + 1))
        os.replace(folder / "preview.partial", folder / "preview.jpg")
        counts = {
            "step": step + 1,
            "steps": steps,
            "scale": 64,
            "seconds": 0.02 * step,
            "seconds_left": 1.0,
            "memory": 10**8,
        }
        say({"event": "jobprogressed", "id": "", "output": result, "loss": loss, **counts})
        if kind == "crash.png" and step == 3:
            os.kill(os.getpid(), 9)
        if kind == "once.png" and step == 3 and first == 0:
            os.kill(os.getpid(), 9)
        if kind == "fail.png" and step == 3:
            Path(result).write_bytes(png(step))
            return {"id": "", "output": result, "state": "failed", "steps": step, "message": f"{folder}/x: is damaged"}
        if result in STOPPED:
            STOPPED.discard(result)
            Path(result).write_bytes(png(step + 1))
            return {"id": "", "output": result, "state": "stopped", "steps": step + 1}
    Path(result).write_bytes(png(steps))
    checkpoint.unlink(missing_ok=True)
    return {"id": "", "output": result, "state": "done", "steps": steps, "seconds": 1.0}


def main() -> None:
    threading.Thread(target=read, daemon=True).start()
    LINES.get()
    while True:
        message = LINES.get()
        say({"began": message["job"]["outputs"]["result"]})
        say({"result": run(message["job"])})


if __name__ == "__main__":
    main()
