"""The executor of Ray clusters, on a real cluster of two nodes: `ray_scenarios.py` runs there, once for all tests."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from impasto.batches.ray_cluster import check_version, shares
from impasto.errors import BatchError, SettingError
from impasto.jobs.compute import Compute
from impasto.version import __version__

GIB = 2**30
LOOPBACK = ["unshare", "--net", "bash", "-c", 'ip link set lo up; exec "$@"', "bash"]
"""Runs a command without any network but the loopback: Ray replaces 127.0.0.1 by the address of the host."""


@pytest.fixture(scope="module")
def facts(tmp_path_factory, narrow_weights, content_image, style_image):
    """What `ray_scenarios.py` prints."""
    pytest.importorskip("ray", reason="needs pip install 'impasto[ray]'")
    folder = tmp_path_factory.mktemp("ray")
    shutil.copy(narrow_weights, folder / "weights.safetensors")
    shutil.copy(content_image, folder / "content.png")
    shutil.copy(style_image, folder / "style.png")
    command = [sys.executable, str(Path(__file__).with_name("ray_scenarios.py")), str(folder)]
    is_allowed = subprocess.run([*LOOPBACK, "true"], capture_output=True, check=False).returncode == 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run(
        [*(LOOPBACK if is_allowed else []), *command], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.linux("clusters of several nodes on one machine")
class TestCluster:
    def test_jobs_run_on_both_nodes(self, facts):
        found = facts["undisturbed"]
        assert found["states"] == ["done"] * 3
        assert found["workers"] == 2  # one for each CPU
        assert {"BatchBegan", "JobBegan", "JobProgressed", "JobEnded"} <= {*found["events"]}
        images = [f"content-style_seed={seed}.png" for seed in (1, 2, 3)]
        assert found["files"] == [*images, "manifest.jsonl", "results.csv", "sheet.jpg"]

    def test_a_killed_worker_costs_no_image_and_no_bit(self, facts):
        found = facts["killed"]
        assert (found["victims"], found["states"], found["equal"]) == (1, ["done"] * 3, True)
        assert found["resumed"] >= 1  # from its checkpoint
        assert (found["lines"], found["checkpoints"]) == (3, [])  # nothing is done twice

    def test_a_killed_worker_at_uris_costs_no_image_and_no_bit(self, facts):
        found = facts["at_uris"]
        assert found["scheme"] in ("s3", "file")
        assert (found["states"], found["equal"]) == (["done"] * 3, True)  # and no checkpoint is left
        assert found["resumed"] >= 1  # from the checkpoint that was uploaded
        assert found["manifest"] == ["manifest.jsonl", "results.csv"]

    def test_after_control_c_another_executor_resumes(self, facts):
        found = facts["interrupted"]
        assert found["status"] == 128 + 2
        assert "stopping after this step" in found["stderr"]
        assert "Traceback" not in found["stderr"]
        assert found["checkpoints"] >= 1
        assert found["actors left"] == 0
        assert (found["states"], found["equal"]) == (["done"] * 3, True)
        assert found["resumed"] == found["checkpoints"]

    def test_a_lost_node_costs_no_image(self, facts):
        found = facts["lost_node"]
        assert (found["removed"], found["states"], found["equal"]) == (1, ["done"] * 3, True)

    def test_a_job_whose_workers_are_all_killed_fails(self, facts):
        (message,) = facts["hopeless"]["messages"]
        assert message.startswith("its worker ended 3 times (")
        assert "\n" not in message

    def test_what_cannot_be_is_refused_in_one_line(self, facts):
        found = facts["refused"]
        assert found["address"].startswith("SettingError: --address: no Ray cluster at '127.0.0.1:1'")
        assert found["memory"].startswith("SettingError: --executor ray: no node has 1 CPUs and 1000000.0 GB of memory")
        assert found["gpu"].startswith("SettingError: --device: got cuda, but the Ray cluster has no GPU")
        assert not any("\n" in message for message in found.values())


NODES = [{"CPU": 16.0, "memory": 32.0 * GIB, "GPU": 2.0}, {"CPU": 4.0, "memory": 16.0 * GIB}]


@pytest.mark.parametrize(
    ("compute", "workers", "device", "resources"),
    [
        (Compute(), 2, "cuda", {"num_cpus": 1, "num_gpus": 1, "memory": 16 * GIB}),  # one for each GPU
        (Compute(memory=90 * GIB), 2, "cuda", {"num_cpus": 1, "num_gpus": 1, "memory": 16 * GIB}),  # that of the GPU
        (Compute("cpu"), 20, "cpu", {"num_cpus": 1, "num_gpus": 0, "memory": 2 * GIB}),  # one for each CPU
        (Compute("cpu", threads=3), 6, "cpu", {"num_cpus": 3, "num_gpus": 0, "memory": 32 * GIB // 5 // 2**20 * 2**20}),
        (Compute("cpu", memory=12 * GIB), 3, "cpu", {"num_cpus": 1, "num_gpus": 0, "memory": 12 * GIB}),
    ],
)
def test_the_workers_that_fit_on_the_nodes(compute, workers, device, resources):
    count, own, reserved = shares(NODES, compute)
    assert (count, own.device, reserved) == (workers, device, resources)
    if device == "cpu":
        assert own.memory == resources["memory"]
        assert own.threads == resources["num_cpus"]


def test_a_worker_that_fits_nowhere_is_refused():
    with pytest.raises(SettingError, match="no node has 17 CPUs; lower --threads or --memory-limit"):
        shares(NODES, Compute("cpu", threads=17))


def test_a_node_with_another_version_is_refused():
    check_version(__version__)
    with pytest.raises(BatchError, match=r"a node has impasto 0\.0\.1, this is"):
        check_version("0.0.1")
