"""Prepares `python -m benchmarks.gpu` for a machine with a GPU and without a package registry.

`python tools/gpu_check.py` downloads the wheels that impasto depends on into build/gpu-wheels, for Linux on x86-64, and
prints the command to run there, in a copy of the repository that includes this folder. torch with CUDA and NumPy must
be installed there already. The versions are those that are installed here.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (34, 31, 28, 27, 24, 17, 12, 5)] + ["manylinux2014_x86_64"]
"""pip takes wheels for exactly these versions of glibc and none between them."""
WITHOUT = ["torch", "numpy", "ncnn", "onnxruntime"]
"""Packages that the machine has, and those whose code does not run there."""
ROOT = Path(__file__).parents[1]


def main() -> int:
    """Download the wheels, print what to run; return the exit status."""
    arguments = _parser().parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    environment = {"python_version": arguments.python, "sys_platform": "linux", "platform_machine": "x86_64"}
    left_out = {canonicalize_name(name) for name in arguments.without}
    names = sorted(set(_closure(project["dependencies"], environment, left_out)))
    shutil.rmtree(arguments.folder, ignore_errors=True)
    _download([f"{name}=={metadata.version(name)}" for name in names], arguments.python, arguments.folder)
    size = sum(wheel.stat().st_size for wheel in arguments.folder.glob("*.whl")) / 2**20
    print(
        f"{len(names)} wheels for Python {arguments.python} in {arguments.folder}, {size:.1f} MiB: {', '.join(names)}"
    )
    if size > arguments.max_mib:
        print(f"more than {arguments.max_mib} MiB: leave out what the machine has (--without), or raise --max-mib")
        return 1
    print(f"\nThere, with Python {arguments.python} and torch for CUDA, in the root of the repository:\n")
    print(command(arguments.folder))
    return 0


def command(folder: Path) -> str:
    """The command for the other machine."""
    site = folder.with_name("gpu-site")
    install = "python3 -m pip install --quiet --no-index --no-deps --no-compile --upgrade"
    return f"{install} --target {site} {folder}/*.whl &&\nPYTHONPATH={site}:src python3 -m benchmarks.gpu"


def _closure(requirements: Iterable[str], environment: Mapping[str, str], left_out: set[str]) -> Iterator[str]:
    """The names of packages and of all that they depend on, in the versions installed here; some may come twice."""
    for text in requirements:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""})
        if wanted and name not in left_out:
            yield name
            yield from _closure(metadata.requires(name) or (), environment, left_out)


def _download(pinned: Iterable[str], python: str, folder: Path) -> None:
    platforms = [argument for name in PLATFORMS for argument in ("--platform", name)]
    target = ["--python-version", python, "--implementation", "cp", *platforms, "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *target]
    subprocess.run([*command, *pinned], check=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python tools/gpu_check.py", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--python", default="3.12", help="version of Python on the other machine")
    parser.add_argument("--folder", type=Path, default=Path("build/gpu-wheels"), help="where the wheels are put")
    parser.add_argument("--max-mib", type=float, default=50, help="limit of their size in MiB")
    parser.add_argument("--without", nargs="*", default=WITHOUT, help="packages that are there, or not needed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
