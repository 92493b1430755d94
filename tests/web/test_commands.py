"""The commands of the web app: serve, submit, queue, cancel; and what the server needs when idle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from web_inputs import png
from web_server import Running

import impasto
from impasto.cli import main


@pytest.fixture
def images_in(tmp_path: Path) -> tuple[str, str]:
    """The names of a content image and a style image."""
    for seed, name in enumerate(("content.png", "style.png")):
        (tmp_path / name).write_bytes(png(64, 48, seed=seed))
    return str(tmp_path / "content.png"), str(tmp_path / "style.png")


def test_submit_waits_for_the_result_and_saves_it(
    running: Running, images_in: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = str(tmp_path / "out.png")
    assert main(["submit", *images_in, "--server", running.url, "--steps", "3", "--size", "64", "-o", result]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "job 1"
    assert Path(result).read_bytes() == running.service.workspace.result(1).read_bytes()
    assert running.client.job(1)["changed"] == {"depth": 8, "size": 64, "steps": 3}
    assert main(["submit", *images_in, "--server", running.url, "-o", result]) == 2
    assert "exists already" in capsys.readouterr().err


def test_submit_saves_in_the_format_of_the_suffix(
    running: Running, images_in: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", *images_in, "--server", running.url, "-o", str(tmp_path / "out.tiff")]) == 2
    assert "a server sends PNG and JPEG; use the suffix .png or .jpg" in capsys.readouterr().err
    assert list(running.client.jobs()) == []
    words = ["--steps", "2", "--size", "64", "-o", str(tmp_path / "out.jpg")]
    assert main(["submit", *images_in, "--server", running.url, *words]) == 0
    assert (tmp_path / "out.jpg").read_bytes().startswith(b"\xff\xd8\xff")


def test_submit_takes_weights_and_a_priority(running: Running, images_in: tuple[str, str]) -> None:
    content, style = images_in
    words = [
        "submit",
        content,
        f"{style}=0.25",
        content,
        "--server",
        running.url,
        "--priority",
        "2",
        "--preset",
        "quick",
    ]
    assert main([*words, "--size", "64"]) == 0
    job = running.client.job(1)
    assert [each["weight"] for each in job["spec"]["styles"]] == [0.25, 1.0]
    assert (job["priority"], job["spec"]["settings"]["steps"]) == (2, impasto.preset("quick").steps)


def test_queue_lists_in_the_order_of_running_and_cancel_ends_jobs(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = [running.submit(tmp_path, settings={"steps": 2000}) for _ in range(3)]
    running.wait_for(numbers[0], "running", step=1)
    assert main(["queue", "--server", running.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["1", "running"], ["2", "waiting"], ["3", "waiting"]]
    assert main(["cancel", "1", "3", "--server", running.url]) == 0
    assert capsys.readouterr().out.splitlines() == ["job 1: is being canceled", "job 3: canceled"]
    running.wait_for(1, "canceled")
    assert main(["queue", "--json", "--all", "--server", running.url]) == 0
    assert {job["number"]: job["state"] for job in json.loads(capsys.readouterr().out)}[3] == "canceled"
    assert main(["cancel", "3", "--server", running.url]) == 1
    assert "job 3: is canceled; only a job that waits or runs can cancel" in capsys.readouterr().err
    running.client.ask(2, "cancel")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["queue", "--server", "http://127.0.0.1:1"], 1, "cannot be reached"),
        (["queue", "--server", "ftp://x"], 1, "is not the address of a server"),
        (["cancel", "x"], 2, "NUMBER"),
        (["serve", "--port", "99999"], 2, "port: got 99999; give 0 to 65535"),
        (["serve", "--workers", "0"], 2, "--workers: got 0; give 1 or more"),
        (["serve", "--quota", "many"], 2, "--quota: got 'many'; give a size such as 4G or 800M"),
        (["serve", "--checkpoint-every", "x"], 2, "--checkpoint-every: got 'x'"),
    ],
)
def test_misuse_is_one_line(words: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == status
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_file_as_data_folder_and_a_port_in_use_are_refused(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert main(["serve", "--port", "0", "--data", str(tmp_path / "file")]) == 2
    assert "cannot be used as data folder" in capsys.readouterr().err
    port = running.url.rpartition(":")[2]
    assert main(["serve", "--port", port, "--data", str(tmp_path / "other")]) == 2
    assert f"127.0.0.1:{port}: cannot be used (Address already in use); choose another" in capsys.readouterr().err
    assert main(["serve", "--port", "0", "--data", str(tmp_path / "data")]) == 2
    assert "another server uses this data folder" in capsys.readouterr().err


def test_without_fastapi_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.startswith(("impasto.web.server", "impasto.web.app"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", "--data", str(tmp_path)]) == 1
    assert "run: pip install 'impasto[web]'" in capsys.readouterr().err


def test_a_server_loads_neither_torch_nor_images() -> None:
    program = "import sys, impasto.web.server; print({'torch', 'PIL', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"


def test_the_token_stays_the_same_and_other_machines_need_it(tmp_path: Path) -> None:
    from impasto.web.server import is_loopback, token_in

    token = token_in(tmp_path / "data")
    assert len(token) >= 32
    assert token_in(tmp_path / "data") == token
    assert [
        is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3", "0.0.0.0", "::", "example.org")
    ] == [
        *[True] * 4,
        *[False] * 3,
    ]


def test_logs_are_json_on_request() -> None:
    import logging

    from impasto.web.log import JsonLines

    record = logging.LogRecord("impasto.web.access", logging.INFO, "", 0, "request", None, None)
    record.facts = {"path": "/a\nb", "status": 404}
    line = JsonLines().format(record)
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["path"], entry["status"], entry["level"]) == ("/a\nb", 404, "info")
