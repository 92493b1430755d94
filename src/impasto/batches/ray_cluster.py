"""A Ray cluster: the connection, and the workers that fit on its nodes."""

import signal
import socket
import threading
from dataclasses import replace
from typing import Any

from impasto.errors import BatchError, MissingError, SettingError
from impasto.jobs.compute import Compute
from impasto.version import __version__

CONNECT_SECONDS = 10.0
"""Seconds for which a cluster is waited for."""
_MIB = 2**20


def connected(address: str) -> tuple[Any, bool]:
    """The package Ray, connected to a cluster, and whether this call has connected it: a program may use Ray itself.

    Raises:
        MissingError: Ray is not installed.
        SettingError: there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingError("--executor ray: Ray is not installed; pip install 'impasto[ray]'") from error
    if ray.is_initialized():
        return ray, False
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _check_port(address)
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise SettingError(
            f"--address: no Ray cluster at {address!r} ({reason(error)}); give its address, start one with `ray start "
            "--head`, or give local"
        ) from error
    finally:
        if is_main and handler is not None:
            signal.signal(signal.SIGTERM, handler)  # Ray has set its own
    return ray, True


def _check_port(address: str) -> None:
    """Ask whether anything is there: Ray tries a wrong address for minutes.

    Raises:
        OSError: nothing is.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()


def shares(nodes: list[dict[str, float]], compute: Compute) -> tuple[int, Compute, dict[str, float]]:
    """The number of workers that fit on the nodes, the part of each, and the resources that Ray reserves for it.

    Raises:
        SettingError: none fits.
    """
    wants_gpu = compute.device.startswith("cuda") or compute.device == "auto"
    has_gpu = wants_gpu and any(node.get("GPU", 0) for node in nodes)
    if compute.device.startswith("cuda") and not has_gpu:
        raise SettingError(f"--device: got {compute.device}, but the Ray cluster has no GPU; give cpu, or leave it out")
    cpus = compute.threads or 1
    fits = [_places(node, cpus, compute.memory, has_gpu=has_gpu) for node in nodes]
    if not any(fits):
        limit = "" if compute.memory is None else f" and {compute.memory / 1e9:.1f} GB of memory"
        raise SettingError(f"--executor ray: no node has {cpus} CPUs{limit}; lower --threads or --memory-limit")
    share = min(node.get("memory", 0) / fit for fit, node in zip(fits, nodes, strict=True) if fit)
    memory = int(share) // _MIB * _MIB if has_gpu or compute.memory is None else compute.memory
    resources: dict[str, float] = {"num_cpus": cpus, "num_gpus": int(has_gpu), "memory": memory}
    if has_gpu:  # Ray shows to each worker its own; the limit of `compute` is that of the GPU
        return sum(fits), replace(compute, device="cuda"), resources
    device = "cpu" if compute.device == "auto" else compute.device
    return sum(fits), replace(compute, device=device, threads=cpus, memory=memory), resources


def _places(node: dict[str, float], cpus: int, memory: int | None, *, has_gpu: bool) -> int:
    """The number of workers that fit on a node."""
    limits = [node.get("CPU", 0) // cpus]
    if has_gpu:
        limits.append(node.get("GPU", 0))
    elif memory is not None:
        limits.append(node.get("memory", 0) // memory)
    return int(min(limits))


def check_version(version: str) -> None:
    """Compare the version of impasto on a node with this one.

    Raises:
        BatchError: they differ.
    """
    if version != __version__:
        raise BatchError(
            f"--executor ray: a node has impasto {version}, this is {__version__}; install the same on every node"
        )


def reason(error: BaseException) -> str:
    """The last line of an error, which is the cause in Ray's reports, or the first of a plain one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in reversed(lines) if "Error: " in line), lines[0])[:200].rstrip(".")
