"""A server with fake workers: what becomes of jobs, whatever clients, workers and the server itself do."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image
from web_inputs import png
from web_server import Running, Serve

from impasto import web
from impasto.errors import OutputError
from impasto.web import scheduler
from impasto.web import storage as storage_module
from impasto.web.server import Address, bound
from impasto.web.service import MIN_FREE_BYTES


def losses(running: Running, number: int) -> list[int]:
    return running.client.call("GET", f"/api/jobs/{number}/losses?points=1000")["step"]


def listen(running: Running, last_id: str, until: str, after: str = "") -> list[tuple[str, str, dict]]:
    """Ids, kinds and data of the events after one, up to the first with that text."""
    request = urllib.request.Request(f"{running.url}/api/events?after={after}", headers={"last-event-id": last_id})
    events = []
    with urllib.request.urlopen(request, timeout=20) as stream:
        event: dict[str, str] = {}
        for line in stream:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            event[name] = value
            if name == "data":
                events.append((event["id"], event["event"], json.loads(value)))
                if until in value:
                    break
    return events


def test_a_job_runs_and_its_files_can_be_downloaded(running: Running, tmp_path: Path) -> None:
    number = running.submit(tmp_path, name="a name")
    job = running.client.wait(number)
    assert (job["state"], job["step"], job["steps"], job["name"]) == ("done", 10, 10, "a name")
    assert job["result"] == {"width": 2, "height": 1, "depth": 8, "bytes": job["result"]["bytes"], "complete": True}
    assert losses(running, number) == [*range(10)]
    running.client.save_result(number, tmp_path / "result.png")
    assert (tmp_path / "result.png").read_bytes() == running.service.workspace.result(number).read_bytes()
    assert running.status(lambda: running.client.save_result(number, tmp_path / "x.png", "png16")) == 409
    assert not (tmp_path / "x.png").exists()


def test_a_paused_job_continues_where_it_was(running: Running, tmp_path: Path) -> None:
    number = running.submit(tmp_path, settings={"steps": 60})
    running.wait_for(number, "running", step=5)
    assert running.client.ask(number, "pause")["request"] == "pause"
    paused = running.wait_for(number, "paused")
    assert 5 < paused["step"] < 60
    other = running.submit(tmp_path)  # the worker is free meanwhile
    assert running.client.wait(other)["state"] == "done"
    running.client.ask(number, "resume")
    assert running.client.wait(number)["step"] == 60
    assert losses(running, number) == [*range(60)]


def test_a_stopped_job_keeps_its_image_and_a_canceled_one_keeps_nothing(running: Running, tmp_path: Path) -> None:
    stopped, canceled = (running.submit(tmp_path, settings={"steps": 500}) for _ in range(2))
    running.wait_for(stopped, "running", step=3)
    running.client.ask(stopped, "stop")
    job = running.wait_for(stopped, "stopped")
    assert job["result"]["complete"] is False
    running.wait_for(canceled, "running", step=3)
    running.client.ask(canceled, "cancel")
    assert running.wait_for(canceled, "canceled")["result"] is None
    assert running.status(lambda: running.client.ask(canceled, "pause")) == 409
    # both can be run again, the stopped one from its checkpoint
    running.client.ask(stopped, "retry")
    assert running.wait_for(stopped, "running", step=job["step"] + 1)["step"] > job["step"]


def test_canceling_a_waiting_job_leaves_the_running_one_alone(running: Running, tmp_path: Path) -> None:
    first = running.submit(tmp_path, settings={"steps": 40})
    second = running.submit(tmp_path)
    running.wait_for(first, "running", step=1)
    assert running.client.ask(second, "cancel")["state"] == "canceled"
    assert running.client.wait(first)["step"] == 40


def test_a_request_before_the_worker_has_begun_is_fulfilled(running: Running, tmp_path: Path) -> None:
    number = running.submit(tmp_path, settings={"steps": 2000})
    running.wait_for(number, "running")
    running.client.ask(number, "pause")  # the worker process is being started
    assert running.wait_for(number, "paused")["step"] < 100


def test_a_killed_worker_is_replaced_and_one_that_always_dies_fails_its_job(running: Running, tmp_path: Path) -> None:
    once, always = running.submit(tmp_path, "once.png"), running.submit(tmp_path, "crash.png", settings={"steps": 1000})
    assert running.client.wait(once)["state"] == "done"
    assert losses(running, once) == [*range(10)]
    failed = running.wait_for(always, "failed")
    assert "its worker ended" in failed["message"]
    assert failed["preview"] is not None  # its last image is kept


def test_a_failed_job_says_why_without_the_servers_folders(running: Running, tmp_path: Path) -> None:
    number = running.submit(tmp_path, "fail.png")
    failed = running.wait_for(number, "failed")
    assert failed["message"] == f"jobs/{number}/x: is damaged"
    assert failed["result"] is not None


def test_a_restarted_server_has_the_same_queue_and_goes_on(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path / "data") as running:
        first = running.submit(tmp_path, settings={"steps": 80})
        running.wait_for(first, "running")
        others = [running.submit(tmp_path, name=name, priority=priority) for name, priority in (("a", 0), ("b", 1))]
        before = running.wait_for(first, "running", step=5)
        assert [job["number"] for job in running.client.jobs(["waiting"])] == [*reversed(others)]
    with serve(tmp_path / "data") as running:
        assert running.wait_for(first, "running", step=before["step"])["created"] == before["created"]
        ended = [running.client.wait(number) for number in (first, *others)]
        assert [job["state"] for job in ended] == ["done"] * 3
        assert losses(running, first) == [*range(80)]
        assert ended[0]["ended"] < ended[2]["ended"] < ended[1]["ended"]  # in the same order as before


def test_a_second_server_in_the_same_folder_is_refused(running: Running, serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="another server uses this data folder"), serve(tmp_path / "data"):
        pass
    assert list(running.client.jobs()) == []


def test_a_job_whose_file_is_gone_fails_and_the_next_one_runs(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path / "data") as running:
        running.submit(tmp_path, settings={"steps": 200})
        running.wait_for(1, "running")  # its content image is the file that is removed
        lost = running.submit(tmp_path, "gone.png")
        running.service.files.remove(running.client.job(lost)["spec"]["styles"][0]["file"])
        kept = running.submit(tmp_path, "another.png")
        running.client.ask(1, "stop")
        assert "upload it" in running.wait_for(lost, "failed")["message"]
        assert running.client.wait(kept)["state"] == "done"


def test_a_fork_starts_from_the_image_and_names_its_parent(running: Running, tmp_path: Path) -> None:
    number = running.submit(tmp_path)
    assert running.status(lambda: running.client.call("POST", "/api/jobs/99/fork", {})) == 404
    running.client.wait(number)
    body = {"settings": {"strength": 0.9, "size": 128}, "steps": 7}
    fork = running.client.call("POST", f"/api/jobs/{number}/fork", body)
    assert (fork["parent"], fork["changed"]["strength"]) == (number, 0.9)
    assert fork["spec"]["init"] == running.service.files.get(fork["spec"]["init"]).id
    path = f"/api/jobs/{number}/fork"
    for wrong in ({"settings": {"size": -1}}, {"settings": {"init": "a/file.png"}}, {"keep": "a" * 64}, {"steps": 0}):
        assert running.status(lambda wrong=wrong: running.client.call("POST", path, wrong)) in {400, 404, 422}  # type: ignore[misc]
    running.client.wait(fork["number"])
    job = running.client.call("GET", f"/api/jobs/{fork['number']}/job")
    parent = running.service.scheduler.job(running.service.jobs.get(number))
    assert job["parent"] == parent.id
    one_pass = running.client.call("POST", path, {"settings": {"method": "fast"}})["number"]
    one_pass = running.client.call("GET", f"/api/jobs/{one_pass}/job")
    assert (one_pass["parent"], one_pass["init"]) == (parent.id, None)  # one pass has no initial image
    # only the scales from the size of the image on
    assert (job["settings"]["first_scale"], job["settings"]["steps"], job["settings"]["init"]) == (
        16,
        7,
        f"{number}.png",
    )


def test_a_fork_starts_from_the_newest_image(running: Running, tmp_path: Path) -> None:
    number = running.submit(tmp_path, settings={"steps": 2000})

    def step_of_the_image() -> int:
        """The step at which the image was made from which a fork starts; fake images say it."""
        fork = running.client.call("POST", f"/api/jobs/{number}/fork", {})
        running.client.ask(fork["number"], "cancel")
        with Image.open(running.service.files.path(fork["spec"]["init"])) as image:
            return image.getpixel((0, 0))

    running.wait_for(number, "running", step=5)
    running.client.ask(number, "pause")
    paused = running.wait_for(number, "paused")
    assert (step_of_the_image(), paused["result"]["complete"]) == (paused["step"], False)
    running.client.ask(number, "resume")
    before = running.wait_for(number, "running", step=paused["step"] + 5)
    # what it had saved when it was paused is not its image any more
    assert before["result"] is None
    assert before["step"] <= step_of_the_image() <= running.client.job(number)["step"] + 1
    running.client.ask(number, "cancel")


def test_events_tell_every_change_and_go_on_after_a_reconnection(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "STEP_SECONDS", 0.0)
    number = running.submit(tmp_path, settings={"steps": 50})
    first = listen(running, "", '"step":10')
    assert first[0][1] == "reset"
    running.client.wait(number)
    second = listen(running, first[-1][0], '"state":"done"')
    steps = [data["step"] for _, kind, data in (*first, *second) if kind == "step" and data["number"] == number]
    assert steps == [*range(steps[0], 51)]


def test_steps_are_told_at_intervals_and_the_last_one_always(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "STEP_SECONDS", 3600.0)
    start = running.client.call("GET", "/api/start")["event"]
    numbers = [running.submit(tmp_path, settings={"steps": 20}) for _ in range(2)]
    for number in numbers:
        running.client.wait(number)
    events = listen(running, "", f'"number":{numbers[1]},"name":"content-style","state":"done"', after=start)
    for number in numbers:
        of_job = [(kind, data) for _, kind, data in events if data["number"] == number]
        assert [data["step"] for kind, data in of_job if kind == "step"] == [1]
        assert (of_job[-1][0], of_job[-1][1]["step"], of_job[-1][1]["loss"]["total"]) == ("job", 20, 0.05)
        assert losses(running, number) == [*range(20)]


def test_waiting_jobs_are_edited_moved_and_duplicated(running: Running, tmp_path: Path) -> None:
    running.submit(tmp_path, settings={"steps": 500})
    running.wait_for(1, "running")
    numbers = [running.submit(tmp_path, name=name) for name in "abc"]
    change = running.client.call
    change("PATCH", f"/api/jobs/{numbers[2]}", {"before": numbers[0]})
    job = running.client.job(numbers[1])
    edited = {**job["spec"], "settings": {**job["spec"]["settings"], "strength": 0.25}, "name": "edited"}
    change("PATCH", f"/api/jobs/{numbers[1]}", {"spec": edited})
    copy = running.client.ask(numbers[1], "duplicate")
    waiting = list(running.client.jobs(["waiting"]))
    assert [job["name"] for job in waiting] == ["c", "a", "edited", "edited"]
    assert (copy["spec"], copy["state"]) == (waiting[2]["spec"], "waiting")
    running_spec = {"spec": edited}
    assert running.status(lambda: change("PATCH", "/api/jobs/1", running_spec)) == 409
    running.client.ask(1, "cancel")


def test_a_deleted_job_is_restored_or_removed_after_an_hour(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [running.submit(tmp_path) for _ in range(2)]
    for number in numbers:
        running.client.wait(number)
        running.client.call("DELETE", f"/api/jobs/{number}")
    assert list(running.client.jobs()) == []
    running.client.ask(numbers[0], "restore")
    running.service.storage.clean()
    assert running.client.job(numbers[1])["deleted"] is True
    monkeypatch.setattr(storage_module, "UNDO_SECONDS", -1.0)
    running.service.storage.clean()
    assert [job["number"] for job in running.client.jobs()] == numbers[:1]
    assert running.status(lambda: running.client.job(numbers[1])) == 404
    assert running.service.workspace.numbers() == numbers[:1]


def test_a_folder_without_a_job_is_removed(running: Running, tmp_path: Path) -> None:
    number = running.submit(tmp_path)
    running.client.wait(number)
    running.service.workspace.folder(99)
    running.service.storage.clean()
    assert running.service.workspace.numbers() == [number]


def test_above_the_quota_the_oldest_results_but_favorites_are_removed(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path / "data", quota=1) as running:
        numbers = [running.submit(tmp_path) for _ in range(3)]
        for number in numbers:
            running.client.wait(number)
        running.client.call("PATCH", f"/api/jobs/{numbers[0]}", {"favorite": True})
        running.service.storage.quota = running.service.storage.used - 1
        running.service.storage.clean()
        assert [job["number"] for job in running.client.jobs()] == [numbers[2], numbers[0]]


def test_uploads_that_no_job_needs_are_removed_after_a_day(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unused = running.upload(tmp_path, "unused.png", seed=100)
    number = running.submit(tmp_path)
    running.client.wait(number)
    monkeypatch.setattr(storage_module, "UNUSED_SECONDS", -1.0)
    running.service.storage.clean()
    assert running.status(lambda: running.client.call("GET", f"/api/files/{unused}")) == 404
    assert {file.name for file in (tmp_path / "data" / "files").iterdir()} == running.service.jobs.inputs()


def test_nothing_is_accepted_when_the_disk_is_almost_full(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = running.submit(tmp_path)
    running.client.wait(number)
    usage = type("Usage", (), {"free": MIN_FREE_BYTES - 1})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    for call in (
        lambda: running.client.ask(number, "duplicate"),
        lambda: running.client.upload(tmp_path / "content.png"),
    ):
        assert running.status(call) == 507
    assert running.client.job(number)["state"] == "done"


def test_many_clients_at_once_lose_nothing(running: Running, tmp_path: Path) -> None:
    (tmp_path / "c.png").write_bytes(png())
    file = running.client.upload(tmp_path / "c.png")["id"]
    body = {"content": file, "styles": [{"file": file}], "settings": {"steps": 1, "size": 64}}
    numbers: list[int] = []

    def submit() -> None:
        numbers.extend(running.client.call("POST", "/api/jobs", body)["number"] for _ in range(5))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == [*range(1, 41)]
    deadline = time.monotonic() + 20
    while {job["state"] for job in running.client.jobs()} != {"done"} and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running.service.jobs.counts() == {"done": 40}


def test_saved_settings_are_kept_replaced_and_deleted(running: Running) -> None:
    call = running.client.call
    for strength in (0.2, 0.8):
        call("PUT", "/api/saved/soft%20oil", {"settings": {"strength": strength}})
    (saved,) = call("GET", "/api/setup")["saved"]
    assert (saved["name"], saved["settings"]["strength"]) == ("soft oil", 0.8)
    assert call("DELETE", "/api/saved/soft%20oil") == {"saved": []}
    assert running.status(lambda: call("DELETE", "/api/saved/soft%20oil")) == 404


def test_the_setup_says_what_the_settings_say(running: Running) -> None:
    setup = running.client.call("GET", "/api/setup")
    assert setup["defaults"].keys() == setup["schema"]["properties"].keys()
    assert {*setup["primary"]} < {*setup["defaults"]}
    assert setup["presets"][0]["settings"] == setup["defaults"]
    for demo in setup["demo"]:
        file = running.client.call("POST", f"/api/demo/{demo['name']}", b"")
        assert file["name"] == demo["name"]
        assert file["width"] > 100


def test_a_page_gets_all_at_once_and_then_only_what_changes(running: Running, tmp_path: Path) -> None:
    numbers = [running.submit(tmp_path, name=name, settings={"steps": 500}) for name in ("first", "second", "third")]
    running.wait_for(numbers[0], "running")
    running.client.call("PATCH", f"/api/jobs/{numbers[2]}", {"before": numbers[1]})
    start = running.client.call("GET", "/api/start")
    assert start["setup"] == running.client.call("GET", "/api/setup")
    assert [job["number"] for job in start["waiting"]] == [numbers[2], numbers[1]]
    assert {job["number"] for job in start["jobs"]} == {*numbers}
    running.client.call("PATCH", f"/api/jobs/{numbers[1]}", {"name": "later"})
    changes = listen(running, "", '"later"', after=start["event"])
    assert {kind for _, kind, _ in changes} <= {"job", "step"}  # no reset: nothing is loaded twice
    assert changes[-1][2]["number"] == numbers[1]
    known = changes[-1][0]  # a browser that connects again by itself says what it has had last
    running.client.call("PATCH", f"/api/jobs/{numbers[1]}", {"name": "last"})
    assert "later" not in str(listen(running, known, '"last"', after=start["event"]))
    running.client.ask(numbers[0], "cancel")


def test_text_is_compressed_and_images_are_sent_as_they_are(running: Running, tmp_path: Path) -> None:
    number = running.submit(tmp_path)
    running.client.wait(number)
    encodings = {}
    for path in ("/static/main.js", "/api/setup", f"/api/jobs/{number}/result", f"/api/jobs/{number}/tiles/0/0/0"):
        request = urllib.request.Request(running.url + path, headers={"accept-encoding": "gzip"})
        with urllib.request.urlopen(request) as response:
            encodings[path.rpartition("/")[2]] = response.headers["content-encoding"]
    assert encodings == {"main.js": "gzip", "setup": "gzip", "result": None, "0": None}


def test_a_file_of_the_page_that_a_browser_has_is_not_sent_again(running: Running) -> None:
    url = f"{running.url}/static/main.js"
    with urllib.request.urlopen(url) as response:
        assert response.read() == (Path(web.__file__).parent / "static" / "main.js").read_bytes()
        known = response.headers["etag"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url, headers={"if-none-match": f'"other", {known}'}))
    assert (caught.value.status, caught.value.read()) == (304, b"")
    with urllib.request.urlopen(urllib.request.Request(url, headers={"if-none-match": '"other"'})) as response:
        assert response.status == 200


def test_responses_do_not_wait_for_acknowledgments() -> None:
    with bound(Address(port=0)) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_health_and_metrics(running: Running, tmp_path: Path) -> None:
    running.client.wait(running.submit(tmp_path))
    assert running.client.call("GET", "/healthz") == {"status": "ok"}
    with urllib.request.urlopen(f"{running.url}/metrics") as response:
        lines = dict(line.rsplit(" ", 1) for line in response.read().decode().splitlines())
    assert lines['impasto_jobs{state="done"}'] == "1"
    assert int(lines['impasto_http_requests_total{status="201"}']) == 3
