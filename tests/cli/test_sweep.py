"""The command `impasto sweep`."""

import csv
import json
import shutil
import signal
import sys

import numpy as np
import pytest
from PIL import Image

import impasto as library
from impasto import reporting
from impasto.errors import DivergedError, OutputError
from impasto.jobs import runner
from impasto.jobs.claims import claimed

pytestmark = pytest.mark.usefixtures("undrawn_plots")
FILES = ["losses.png", "results.csv", "results.json", "sheet.jpg"]
GRID = ["--grid", "style_weight=0.01,1", "--grid", "learning-rate=0.01,0.02"]
STEMS = [f"style_weight={weight}_learning_rate={rate}" for weight in ("0.01", "1") for rate in ("0.01", "0.02")]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "sweep"


@pytest.fixture
def sweep(run_small, content_image, style_image, folder):
    """Run `impasto sweep` on the two test images into `folder`."""
    return lambda *flags: run_small("sweep", content_image, style_image, "-o", folder, "--optimizer", "adam", *flags)


@pytest.fixture
def table(folder):
    """The rows of results.csv."""

    def read():
        with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def stopping(monkeypatch):
    """Send SIGTERM at a step of a combination, both counted from 1."""

    def stop(combination, step):
        execute, step_events, started = runner.execute, reporting.step_events, []

        def counting(*arguments):
            started.append(None)
            return execute(*arguments)

        def stopping_events(taken):
            if (len(started), taken.number + 1) == (combination, step):
                signal.raise_signal(signal.SIGTERM)
            return step_events(taken)

        monkeypatch.setattr(runner, "execute", counting)
        monkeypatch.setattr(reporting, "step_events", stopping_events)

    return stop


def test_every_combination_gives_the_same_image_as_a_run_of_its_own(  # noqa: PLR0917
    sweep, stylize, folder, out, pixels, impasto
):
    assert sweep(*GRID).status == 0
    files = [f"{stem}.{suffix}" for stem in STEMS for suffix in ("png", "jsonl")]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, *files])
    assert stylize("--optimizer", "adam", "--style-weight", 1, "--learning-rate", 0.01).status == 0
    assert np.array_equal(pixels(folder / f"{STEMS[2]}.png"), pixels(out))
    assert json.loads(impasto("inspect", folder / f"{STEMS[2]}.png").out)["settings"]["style_weight"] == 1
    assert len((folder / f"{STEMS[2]}.jsonl").read_text().splitlines()) == 3


def test_style_images_keep_their_weights_in_every_combination(run_small, content_image, style_image, folder, impasto):
    grid = ["--grid", "seed=0,1", "--optimizer", "adam"]
    assert run_small("sweep", content_image, f"{style_image}=3", content_image, "-o", folder, *grid).status == 0
    for seed in (0, 1):
        recipe = json.loads(impasto("inspect", folder / f"seed={seed}.png").out)
        assert [style["weight"] for style in recipe["styles"]] == [3, 1]
    assert (
        "was started with the weights [3.0, 1.0]"
        in run_small("sweep", content_image, style_image, content_image, "-o", folder, *grid, "--resume").complaint()
    )


def test_the_tables_contain_the_losses_of_the_images_as_saved(sweep, folder, table, impasto):
    assert sweep(*GRID).status == 0
    results = json.loads((folder / "results.json").read_text())["results"]
    assert [result["picture"] for result in results] == [f"{stem}.png" for stem in STEMS]
    for result, row in zip(results, table(), strict=True):
        assert result["loss"] == json.loads(impasto("inspect", folder / result["picture"]).out)["loss"]
        assert float(row["total"]) == result["loss"]["total"]
        assert (result["state"], row["state"], result["steps_done"]) == ("done", "done", 3)
        assert result["seconds"] > 0
    assert results[1]["settings"] == {"style_weight": 0.01, "learning_rate": 0.02}
    assert [row["learning_rate"] for row in table()] == ["0.01", "0.02", "0.01", "0.02"]


def test_the_sheet_and_the_plot_are_saved(sweep, folder, undrawn_plots):
    undrawn_plots.undo()
    assert sweep(*GRID, "--quiet").status == 0
    with Image.open(folder / "sheet.jpg") as sheet, Image.open(folder / "losses.png") as plot:
        assert sheet.width > 2 * 120
        assert plot.width > 600


def test_the_network_is_loaded_once(sweep, monkeypatch):
    loads, load = [], library.VGG19.load
    monkeypatch.setattr(library.VGG19, "load", lambda *given, **named: loads.append(1) or load(*given, **named))
    assert sweep(*GRID).status == 0
    assert len(loads) == 1


def test_worker_processes_give_the_same_files(sweep, run_small, folder, content_image, style_image, tmp_path):  # noqa: PLR0917
    alone, arguments = tmp_path / "alone", [content_image, style_image, "--grid", "seed=1,2"]
    assert run_small("sweep", *arguments, "-o", alone, "--threads", 1).status == 0
    assert run_small("sweep", *arguments, "-o", folder, "--threads", 2, "--workers", 2).status == 0  # one each
    for seed in (1, 2):
        assert (folder / f"seed={seed}.png").read_bytes() == (alone / f"seed={seed}.png").read_bytes()
    assert "--workers: got 0; give 1 or more" in sweep("--grid", "seed=1", "--workers", 0, "--overwrite").complaint()


def test_flags_and_presets_apply_to_all_combinations(sweep, table, folder, impasto):
    layers = "style_layers=block1_conv1,block1_conv1+block2_conv1"
    assert sweep("--preset", "gatys-2015", "--seed", 5, "--grid", layers).status == 0
    names = [row["picture"] for row in table()]
    settings = [json.loads(impasto("inspect", folder / name).out)["settings"] for name in names]
    assert [(values["convention"], values["seed"], values["steps"]) for values in settings] == [("gatys", 5, 3)] * 2
    assert settings[1]["style_layers"] == {"block1_conv1": 0.5, "block2_conv1": 0.5}


@pytest.mark.parametrize(("name", "pictures"), [("keras-study", 5), ("figure-3", 20)])
def test_prepared_sweeps_run_at_the_requested_size_and_steps(  # noqa: PLR0917
    name, pictures, run_small, content_image, style_image, folder
):
    how = ["--prepared", name, "--steps", 1, "-o", folder]
    assert run_small("sweep", content_image, style_image, *how).status == 0
    assert len(list(folder.glob("*=*.png"))) == pictures


def test_a_stopped_sweep_is_resumed_to_the_same_files_as_without_a_stop(  # noqa: PLR0917
    sweep, stopping, monkeypatch, folder, table, tmp_path, run_small, content_image, style_image
):
    whole = ["-o", tmp_path / "whole", "--optimizer", "adam"]
    assert run_small("sweep", content_image, style_image, *whole, *GRID).status == 0
    stopping(2, 2)
    assert sweep(*GRID).status == 143
    assert [row["state"] for row in table()] == ["done", "stopped", "waiting", "waiting"]
    assert (folder / f"{STEMS[1]}.png.checkpoint").exists()
    assert sorted(FILES) == sorted(path.name for path in folder.iterdir() if "=" not in path.name)
    monkeypatch.undo()
    before = (folder / f"{STEMS[0]}.png").stat().st_mtime_ns
    outcome = sweep(*GRID, "--resume")
    assert outcome.status == 0
    assert f"1 of 4: {STEMS[0].replace('_learning', ', learning')} is already finished" in outcome.err
    assert "note: resuming at step 2 of 3" in outcome.err
    assert (folder / f"{STEMS[0]}.png").stat().st_mtime_ns == before
    for stem in STEMS:
        assert (folder / f"{stem}.png").read_bytes() == (tmp_path / "whole" / f"{stem}.png").read_bytes()
    assert [row["state"] for row in table()] == ["done"] * 4
    assert all(float(row["seconds"]) > 0 for row in table())
    assert not list(folder.glob("*.checkpoint"))


def test_a_finished_sweep_can_be_resumed_with_a_larger_grid(sweep, folder, table):
    assert sweep("--grid", "style_weight=1,2").status == 0
    outcome = sweep("--grid", "style_weight=1,2,3", "--resume")
    assert outcome.err.count("is already finished") == 2
    assert [row["state"] for row in table()] == ["done"] * 3


def test_a_combination_that_leaves_out_a_scale_is_recognized_as_finished(sweep):
    how = ["--grid", "seed=1", "--first-scale", 16]  # at 16 pixels the content image is too narrow
    assert sweep(*how).status == 0
    assert "is already finished" in sweep(*how, "--resume").err


def test_an_unfinished_image_without_a_checkpoint_is_started_over(sweep, stopping, monkeypatch, folder):
    stopping(1, 2)
    assert sweep("--grid", "seed=1").status == 143
    monkeypatch.undo()
    (folder / "seed=1.png.checkpoint").unlink()
    assert "is already finished" not in sweep("--grid", "seed=1", "--resume").err


def test_a_damaged_checkpoint_is_reported_and_its_run_starts_over(sweep, folder, table):
    folder.mkdir()
    (folder / "seed=1.png.checkpoint").write_text("damaged")
    outcome = sweep("--grid", "seed=1,2", "--resume")
    assert outcome.status == 0
    assert "seed=1.png.checkpoint: is not a checkpoint or is damaged" in outcome.err
    assert [row["state"] for row in table()] == ["done", "done"]


@pytest.mark.parametrize(
    ("change", "message"),
    [(["--seed", 4], "was started with seed 0, got 4"), (["--threads", 1], None)],
)
def test_results_of_other_settings_are_not_resumed(change, message, sweep, folder):
    assert sweep("--grid", "style_weight=1,2").status == 0
    outcome = sweep("--grid", "style_weight=1,2", "--resume", *change)
    if message is None:
        assert outcome.status == 0
    else:
        assert outcome.complaint() == (
            f"{folder}/style_weight=1.png: {message}; give the same again, choose another folder, or start over "
            "(--overwrite)"
        )


def test_results_of_other_inputs_and_foreign_files_are_not_resumed(run_small, content_image, style_image, folder):
    how = ["--grid", "seed=1", "-o", folder, "--resume"]
    assert run_small("sweep", content_image, style_image, *how).status == 0
    assert (
        "was started with another content: photo.png, got painting.png"
        in run_small("sweep", style_image, style_image, *how).complaint()
    )
    Image.new("RGB", (8, 8)).save(folder / "seed=1.png")
    assert (
        "seed=1.png: holds no recipe; choose another folder"
        in run_small("sweep", content_image, style_image, *how).complaint()
    )


def test_a_combination_that_is_refused_or_diverges_does_not_end_the_sweep(sweep, table, monkeypatch, folder):
    steps = library.Run.__iter__

    def diverging(self):
        for step in steps(self):
            yield step
            if self.settings.style_weight == 2 and step.number == 1:
                raise DivergedError("step 2: the loss is nan")

    monkeypatch.setattr(library.Run, "__iter__", diverging)
    outcome = sweep("--grid", "style_weight=0,2,1", "--content-weight", 0)
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1] == f"impasto: 2 of 3 combinations failed; see {folder}/results.csv"
    assert "note: diverged: step 2: the loss is nan" in outcome.err
    rows = table()
    assert [(row["state"], row["picture"]) for row in rows] == [
        ("refused", ""),
        ("diverged", "style_weight=2.png"),
        ("done", "style_weight=1.png"),
    ]
    assert rows[0]["message"].startswith("all weights used by the task stylize are 0")
    assert rows[1]["message"] == "step 2: the loss is nan"
    monkeypatch.undo()
    assert sweep("--grid", "style_weight=2,1", "--content-weight", 0, "--resume").status == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "sweep: give what to vary, either --grid NAME=VALUE,VALUE or --prepared NAME"),
        (["--grid", "seed=1", "--prepared", "figure-3"], "sweep: give what to vary, either"),
        (["--grid", "style_weight=1,-1"], "grid style_weight: got '-1'; input should be greater than or equal to 0"),
        (["--grid", "seed=1", "--seed", "2"], "seed: got 2, but the grid varies it; leave one of them out"),
        (["--grid", "preset=keras", "--preset", "keras-1"], "--preset: got 'keras-1', but the grid varies the preset"),
        (["--grid", "seed=1", "--style-weight", "-1"], "--style-weight: got '-1.0'; input should be"),
        (["--grid", "init=content,none.png"], "none.png: does not exist; check the name"),
        (["--grid", "seed=1", "--weights", "none.h5"], "none.h5"),
    ],
)
def test_invalid_arguments_are_refused_before_the_folder_is_created(flags, message, sweep, folder):
    assert message in sweep(*flags).complaint()
    assert not folder.exists()


def test_a_folder_that_cannot_be_used_is_refused(sweep, folder):
    folder.write_text("precious")
    assert "is not a folder; give the name of a folder" in sweep(*GRID, "--overwrite").complaint()
    folder.unlink()
    folder.mkdir()
    (folder / "mine.txt").write_text("precious")
    assert "contains files; choose another folder, resume what is in it" in sweep(*GRID).complaint()
    assert sweep("--grid", "seed=1", "--overwrite").status == 0
    assert (folder / "mine.txt").read_text() == "precious"


def test_resuming_replaces_no_file_that_is_not_that_of_a_sweep(sweep, folder):
    for name in (*FILES, "seed=1.jsonl"):
        folder.mkdir()
        (folder / name).write_text("precious")
        assert f"{folder / name}: exists already; " in sweep("--grid", "seed=1", "--resume").complaint()
        assert [path.read_text() for path in folder.iterdir()] == ["precious"]
        shutil.rmtree(folder)


def test_a_sweep_that_was_killed_in_its_first_run_is_resumed(sweep, folder, monkeypatch):
    def kill(*_):
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(reporting, "step_events", kill)
        with pytest.raises(SystemExit):
            sweep("--grid", "seed=1")
    assert sorted(path.name for path in folder.iterdir()) == ["results.csv", "results.json", "seed=1.jsonl"]
    assert sweep("--grid", "seed=1", "--resume").status == 0


def test_a_folder_that_another_sweep_writes_to_is_refused(sweep, folder):
    assert sweep("--grid", "seed=1").status == 0
    with claimed([folder / "results.json"]):
        complaint = sweep("--grid", "seed=1,2", "--resume").complaint()
    assert complaint.startswith(f"{folder / 'results.json'}: is being written by another run; ")
    assert not (folder / "seed=2.png").exists()


def test_no_input_is_replaced(run_small, folder, content_image):
    folder.mkdir()
    (folder / "seed=1.png").write_bytes(content_image.read_bytes())
    how = ["--grid", "seed=1", "-o", folder, "--overwrite"]
    assert "is also an input" in run_small("sweep", content_image, folder / "seed=1.png", *how).complaint()


def test_without_matplotlib_only_the_plot_is_missing(sweep, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    outcome = sweep("--grid", "seed=1,2")
    assert outcome.status == 0
    assert "note: no losses.png: plots need matplotlib, " in outcome.err
    assert sorted(path.name for path in folder.iterdir() if "=" not in path.name) == sorted({*FILES} - {"losses.png"})


def test_the_library_function_sweeps_too(content_image, style_image, folder, narrow):
    settings, events = library.Settings(size=32, steps=2), []
    grid = {"init": ["noise", str(style_image)]}
    results = library.sweep(content_image, style_image, grid, folder, settings, vgg=narrow, on_event=events.append)
    assert [(result.state, result.steps_done) for result in results] == [("done", 2)] * 2
    assert events[-1].path.endswith("sheet.jpg")
    with pytest.raises(OutputError, match="contains files"):
        library.sweep(content_image, style_image, grid, folder, settings, vgg=narrow)
    before = len(events)
    library.sweep(content_image, style_image, grid, folder, settings, vgg=narrow, on_event=events.append, resume=True)
    assert [event.as_dict()["event"] for event in events[before : before + 2]] == ["noted", "noted"]
    pictures = library.load(content_image), library.load(style_image)
    inputs = [library.Picture(picture.tensor) for picture in pictures]
    with pytest.raises(OutputError, match="is also an input"):
        library.sweep(content_image, folder / "init=noise.png", grid, folder, settings, vgg=narrow, overwrite=True)
    with pytest.raises(OutputError, match="was started with another content"):
        library.sweep(*inputs, grid, folder, settings, vgg=narrow, resume=True)
