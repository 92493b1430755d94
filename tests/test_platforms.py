"""The library needs nothing that only POSIX systems have: its sources name no such thing, and it runs without them."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

NAMES = """
WEXITSTATUS chown chroot ctermid fchdir fchmod fchown fork forkpty getegid geteuid getgid getgroups getloadavg
getpgid getpgrp getpriority getresgid getresuid getsid getuid initgroups killpg lchown lockf major makedev minor
mkfifo mknod nice openpty pathconf pipe2 posix_fadvise posix_fallocate posix_spawn posix_spawnp pread preadv
pwrite pwritev register_at_fork sched_getaffinity sched_setaffinity sched_yield sendfile setegid seteuid setgid
setgroups setpgid setpriority setsid setuid statvfs sync sysconf tcgetpgrp ttyname uname wait wait3 wait4 waitid
O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_NOATIME O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_SYNC O_TMPFILE
"""
POSIX_OS = set(NAMES.split())
"""Names in the module `os` that Windows does not have."""
DIFFERENT_OS = {"fsync", "link", "symlink", "readlink", "kill", "chmod", "umask", "rename"}
"""Names that Windows has, with another meaning or limits; each use is listed in USES with what happens there."""
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty", "select"}
POSIX_SIGNALS = {
    "SIGALRM",
    "SIGCHLD",
    "SIGCONT",
    "SIGHUP",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGUSR1",
}
POSIX_PATHS = ("/dev/", "/proc/", "/sys/", "/tmp/", "/etc/", "/usr/")

USES = {
    ("batches/manifest.py", "fsync"): "of a file",
    ("batches/slurm_task.py", "fsync"): "of a file",
    ("cli/stop_signals.py", "SIGHUP"): "only if the module `signal` has it",
    ("files.py", "chmod"): "sets the read-only flag; an error is ignored",
    ("files.py", "fsync"): "of files; that of a folder, which Windows cannot open, may fail",
    ("files.py", "link"): "NTFS has links; where there are none the file is renamed",
    ("files.py", "rename"): "fails on Windows if the name is taken, as it should",
    ("memory.py", "/sys/fs/cgroup/"): "no limit of a container if there is no such file",
    ("torch_state.py", "CDLL"): "only on Linux, by sys.platform",
    ("torch_state.py", "register_at_fork"): "only on Linux, by sys.platform",
    ("web/files.py", "fsync"): "of a file",
    ("web/image_process.py", "nice"): "no such attribute: the priority stays",
    ("web/image_process.py", "resource"): "cannot be imported: only `load` limits the memory",
    ("web/server.py", "chmod"): "only on POSIX systems, by os.name",
    ("vgg/device.py", "CDLL"): "only on Linux, by sys.platform",
    ("vgg/ncnn_convolution.py", "register_at_fork"): "only on Linux, by sys.platform",
    ("vgg/trial.py", "/proc/cpuinfo"): "the module `platform` names the processor if there is no such file",
    (
        "images/decoding/quiet.py",
        "CDLL",
    ): "of the file of a module that is loaded already; without the symbols it does nothing",
}
"""(module, name) -> what happens on Windows."""


def posix_names(tree: ast.AST) -> Iterator[str]:
    """What a module names that other systems lack or treat in another way."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in POSIX_OS | DIFFERENT_OS:
                yield name
            case ast.Attribute(attr=name) if name in POSIX_SIGNALS | {"CDLL"}:
                yield name
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name in POSIX_MODULES)
            case ast.ImportFrom(module=str(module), names=names) if module in ("os", "signal", *POSIX_MODULES):
                yield from (f"{module}.{each.name}" for each in names)
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield from (text for path in POSIX_PATHS if text.startswith(path))
                yield from (text for name in POSIX_SIGNALS if text == name)


def test_the_sources_name_nothing_that_only_posix_systems_have() -> None:
    source = ROOT / "src" / "impasto"
    found = {
        (path.relative_to(source).as_posix(), name)
        for path in source.rglob("*.py")
        for name in posix_names(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set(USES)


def test_tests_of_what_other_systems_lack_are_marked() -> None:
    """`pytest.mark.posix` and `pytest.mark.linux` skip them there."""
    found = set()
    for path in {*(ROOT / "tests").rglob("*.py")} - {Path(__file__)}:
        functions = ast.parse(path.read_text(encoding="utf-8")).body
        if any(_is_marked(node) for node in functions if isinstance(node, ast.Assign)):
            continue
        for node in functions:
            names = {*posix_names(node)} - DIFFERENT_OS | {*_posix_calls(node)}
            if names and not _is_marked(node):
                found.add((path.name, getattr(node, "name", "")))
    assert found == {
        ("ray_scenarios.py", "interrupted"),  # run by test_ray.py, on Linux only
        ("conftest.py", "_signals_are_not_ignored"),  # if the module `signal` has it
        ("test_resume.py", ""),  # the same
        ("test_fuzz.py", "_limited_memory"),  # called on Linux only
        ("test_rerun.py", "test_a_hostile_recipe_is_refused_in_a_line"),  # a name that is not opened
        ("test_attacks.py", "test_names_of_uploads_are_only_shown"),  # the same
        ("test_attacks.py", "test_jobs_with_an_initial_image_of_the_server"),  # the same
    }


def _posix_calls(tree: ast.AST) -> Iterator[str]:
    calls = ("symlink_to", "send_signal", "preexec_fn")
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)) if name in calls:
                yield name


def _is_marked(node: ast.AST) -> bool:
    """Whether a function has a marker that skips it on some systems, or a statement gives one to its whole module."""
    marks = node.value if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark" else None
    texts = [ast.unparse(each) for each in (*getattr(node, "decorator_list", ()), *([marks] if marks else ()))]
    return any(mark in text for text in texts for mark in ("mark.posix", "mark.linux", "mark.skipif"))


def test_text_files_are_opened_with_their_encoding() -> None:
    """The default is that of the country on Windows."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="read_text" | "write_text")):
                    mode = ""
                case ast.Call(func=ast.Name(id="open"), args=[_, ast.Constant(value=str(mode))]):
                    pass
                case ast.Call(func=ast.Attribute(attr="open"), args=[ast.Constant(value=str(mode))]):
                    pass
                case _:
                    continue
            if "b" not in mode and "encoding" not in {each.arg for each in node.keywords}:
                found.append(f"{path.name}:{node.lineno}")
    assert found == []


WITHOUT_POSIX = """
import ctypes, os, pkgutil, signal, sys
from importlib import import_module
import cyclopts, filelock, matplotlib.pyplot, numpy, PIL.Image, platformdirs, pooch, psutil, pydantic, rich.progress
import torch

for name in {names}:
    if hasattr(os, name):
        delattr(os, name)
for name in {signals}:
    if hasattr(signal, name):
        delattr(signal, name)
load = ctypes.CDLL.__init__
def refuse(self, name, *arguments, **options):
    if name is None:
        raise TypeError("the name of a library is missing, as on Windows")
    load(self, name, *arguments, **options)
ctypes.CDLL.__init__ = refuse
def no_link(*_):
    raise OSError("a file system without links")
os.link = no_link
opened = os.open
def no_folder(path, *arguments, **options):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return opened(path, *arguments, **options)
os.open = no_folder
sys.platform = "another system"

import impasto
for module in pkgutil.walk_packages(impasto.__path__, "impasto."):
    if module.name != "impasto.__main__":
        import_module(module.name)
from impasto.cli import main
content, style, weights, folder = sys.argv[1:]
scales = ["--size", "64", "--first-scale", "32", "--steps", "2"]
network = ["--device", "cpu", "--precision", "float32", "--weights", weights]
run = ["stylize", content, style, *scales, *network, "-o", f"{{folder}}/out.png", "--log", f"{{folder}}/log.jsonl"]
assert main([*run, "--checkpoint-every", "1s", "--preview", f"{{folder}}/preview.png", "--preview-every", "1"]) == 0
assert main(["fast", content, style, "-o", f"{{folder}}/fast.tif"]) == 0
assert main(["info"]) == 0
assert sorted(os.listdir(folder)) == ["fast.tif", "log.jsonl", "out.png", "preview.png"]
"""


def test_it_runs_on_a_system_without_them(
    content_image: Path, style_image: Path, narrow_weights: Path, tmp_path: Path
) -> None:
    names = sorted(name for name in POSIX_OS if not name.startswith("O_"))  # filelock has another module for Windows
    script = WITHOUT_POSIX.format(names=names, signals=sorted(POSIX_SIGNALS))
    command = [sys.executable, "-c", script, *map(str, (content_image, style_image, narrow_weights, tmp_path))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
