"""What happens on a real Ray cluster of two nodes on this machine, printed as JSON: `python ray_scenarios.py FOLDER`.

FOLDER contains content.png, style.png and weights.safetensors.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import ray
from ray.cluster_utils import Cluster

from impasto import LocalExecutor, batch, events, storage
from impasto.batches.ray import RayExecutor
from impasto.errors import ImpastoError
from impasto.jobs.compute import Compute
from impasto.settings.presets import preset

FOLDER = Path(sys.argv[1])
WEIGHTS = str(FOLDER / "weights.safetensors")
COMPUTE = Compute("cpu", "float32", engine="torch", weights=WEIGHTS, threads=1, checkpoint_seconds=0.2)
STEPS = 400
SETTINGS = preset("painterly").replace(size=32, steps=STEPS)
GRID = {"seed": [1, 2, 3]}


def inputs():
    return FOLDER / "content.png", FOLDER / "style.png"


def run(address, name, on_event=lambda _: None, **options):
    executor = RayExecutor(COMPUTE, address=address)
    return batch(*inputs(), FOLDER / name, SETTINGS, grid=GRID, executor=executor, on_event=on_event, **options)


def images(name):
    return {path.name: path.read_bytes() for path in sorted((FOLDER / name).glob("*.png"))}


def actors():
    """The processes of the actors: Ray names them after their classes."""
    return [
        each for each in psutil.process_iter(["cmdline"]) if "ray::RayActor" in " ".join(each.info["cmdline"] or [])
    ]


def undisturbed(address):
    seen = []
    summary = run(address, "undisturbed", seen.append)
    return {
        "states": [record.state for record in summary.records],
        "events": sorted({type(event).__name__ for event in seen}),
        "workers": next(event.workers for event in seen if isinstance(event, events.BatchBegan)),
        "files": sorted(path.name for path in (FOLDER / "undisturbed").iterdir()),
    }


def killed(address):
    """A worker is killed as soon as both have a checkpoint."""
    victims, notes = [], []

    def on_event(event):
        if isinstance(event, events.Noted):
            notes.append(event.message)
        if not victims and len(list((FOLDER / "killed").glob("*.checkpoint"))) == 2:
            victims.append(actors()[0])
            victims[0].kill()  # kill -9

    summary = run(address, "killed", on_event)
    return {
        "victims": len(victims),
        "states": [record.state for record in summary.records],
        "resumed": sum("resuming at step" in note and "step 0" not in note for note in notes),
        "equal": images("killed") == images("undisturbed"),
        "lines": len((FOLDER / "killed" / "manifest.jsonl").read_text().splitlines()),
        "checkpoints": [path.name for path in (FOLDER / "killed").glob("*.checkpoint")],
    }


def interrupted(address):
    """Ctrl-C, in a process as a user starts it; then the executor of one machine resumes."""
    settings = ["--size", "32", "--steps", str(STEPS), "--grid", "seed=1,2,3", "--device", "cpu"]
    flags = ["--precision", "float32", "--engine", "torch", "--weights", COMPUTE.weights, "--checkpoint-every", "1s"]
    command = [sys.executable, "-m", "impasto", "batch", *map(str, inputs()[:1]), "--style", str(inputs()[1])]
    command += ["-o", "interrupted", "--executor", "ray", "--address", address, "--json", *settings, *flags]
    process = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stdout:
        if json.loads(line)["event"] == "jobprogressed":
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=120)
    checkpoints = len(list((FOLDER / "interrupted").glob("*.checkpoint")))
    left = actors()
    notes = []
    summary = batch(
        *inputs(),
        FOLDER / "interrupted",
        SETTINGS,
        grid=GRID,
        resume=True,
        executor=LocalExecutor(COMPUTE, 1),
        on_event=lambda event: notes.append(event.message) if isinstance(event, events.Noted) else None,
    )
    return {
        "status": process.returncode,
        "stderr": errors.decode(),
        "checkpoints": checkpoints,
        "actors left": len(left),
        "states": [record.state for record in summary.records],
        "resumed": sum("resuming at step" in note for note in notes),
        "equal": images("interrupted") == images("undisturbed"),
    }


def at_uris(address):
    """Everything is at URIs, of a server of S3 if there is one; a worker is killed once both have uploaded one."""
    shared, victims, notes = os.environ.get("IMPASTO_TEST_URI", f"file://{FOLDER}/shared"), [], []
    for path in inputs():
        storage.upload(path, f"{shared}/in/{path.name}")

    def on_event(event):
        if isinstance(event, events.Noted):
            notes.append(event.message)
        if not victims and len(storage.files_at(f"{shared}/out/*.checkpoint")) == 2:
            victims.append(actors()[0])
            victims[0].kill()

    executor = RayExecutor(COMPUTE, address=address)
    summary = batch(
        f"{shared}/in/content.png",
        f"{shared}/in/style.png",
        f"{shared}/out",
        SETTINGS,
        grid=GRID,
        manifest=FOLDER / "at_uris",
        executor=executor,
        on_event=on_event,
    )
    found = {}
    for uri in storage.files_at(f"{shared}/out"):
        storage.fetch(uri, FOLDER / "fetched")
        found[storage.name_of(uri)] = (FOLDER / "fetched").read_bytes()
    return {
        "scheme": shared.partition(":")[0],
        "states": [record.state for record in summary.records],
        "resumed": sum("resuming at step" in note for note in notes),
        "equal": found == images("undisturbed"),
        "manifest": sorted(path.name for path in (FOLDER / "at_uris").iterdir()),
    }


def lost_node(cluster):
    """A node disappears while its worker runs a job."""
    node = cluster.add_node(num_cpus=1)
    removed = []

    def on_event(event):
        if not removed and len(list((FOLDER / "lost").glob("*.checkpoint"))) == 3:
            removed.append(node)
            threading.Thread(target=cluster.remove_node, args=(node, False)).start()

    summary = run(cluster.address, "lost", on_event)
    return {
        "removed": len(removed),
        "states": [record.state for record in summary.records],
        "equal": images("lost") == images("undisturbed"),
    }


def hopeless(address):
    """Every worker that starts the job is killed."""

    def on_event(event):
        if isinstance(event, events.JobProgressed):
            for process in actors():
                process.kill()

    executor = RayExecutor(COMPUTE, 1, address=address)
    slow = SETTINGS.replace(steps=20_000)
    summary = batch(*inputs(), FOLDER / "hopeless", slow, executor=executor, on_event=on_event)
    return {"messages": [record.message for record in summary.records]}


def refused(address):
    """Messages for what cannot be."""
    messages = {}
    for name, options in {
        "address": {"address": "127.0.0.1:1"},
        "memory": {"address": address, "compute": Compute("cpu", memory=10**15)},
        "gpu": {"address": address, "compute": Compute("cuda")},
    }.items():
        try:
            RayExecutor(**options)
        except ImpastoError as error:
            messages[name] = f"{type(error).__name__}: {error}"
        ray.shutdown()
    return messages


def start_s3():
    """Start a server of S3 on this machine, if its package is installed; the nodes inherit the environment."""
    try:
        import s3fs
        from moto.server import ThreadedMotoServer
    except ImportError:
        return
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    os.environ |= dict.fromkeys(names, "testing") | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "IMPASTO_TEST_URI": "s3://bucket/batch"}
    s3fs.S3FileSystem().mkdir("bucket")


def main():
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    start_s3()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    chosen = sys.argv[2:] or ["undisturbed", "killed", "at_uris", "interrupted", "lost_node", "hopeless", "refused"]
    facts = {}
    for name in chosen:
        began = time.monotonic()
        facts[name] = globals()[name](cluster if name == "lost_node" else cluster.address)
        print(f"{name}: {time.monotonic() - began:.1f} seconds", file=sys.stderr)  # noqa: T201
    cluster.shutdown()
    print(json.dumps(facts), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
