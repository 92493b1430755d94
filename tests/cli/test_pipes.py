"""`-`: standard input as an input file, standard output as the output file."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import impasto as library

LIMIT = 120


@pytest.fixture
def feed(monkeypatch):
    """Make a file, or bytes, the standard input."""

    def set_stdin(source):
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return set_stdin


@pytest.fixture
def catch(monkeypatch):
    """Replace standard output, and return what it gets, as bytes."""

    def set_stdout():
        buffer = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, write_through=True))
        return buffer

    return set_stdout  # called in the test: pytest replaces standard output itself between two phases of a test


@pytest.fixture
def result(stylize, tmp_path):
    """A result with its log."""
    path = tmp_path / "result.png"
    assert stylize("-o", path, "--log", path.with_suffix(".jsonl")).status == 0
    return path


def image_of(data):
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.array(image)


@pytest.mark.parametrize(
    "words",
    [
        "stylize @ STYLE",
        "stylize CONTENT @",
        "stylize CONTENT STYLE @=0.5",
        "stylize CONTENT STYLE --mask @",
        "stylize CONTENT STYLE --keep=@",
        "stylize CONTENT STYLE --init @",
        "texture @",
        "reconstruct @",
    ],
)
def test_an_image_can_come_from_standard_input(  # noqa: PLR0917
    words, run_small, feed, content_image, style_image, tmp_path, out, pixels, read_recipe
):
    given = tmp_path / "given.png"
    Image.linear_gradient("L").resize((40, 30)).save(given)
    words = words.replace("CONTENT", str(content_image)).replace("STYLE", str(style_image))
    feed(given)
    assert run_small(*words.replace("@", "-").split()).status == 0
    assert "standard input" in {each["name"] for each in objects(read_recipe()) if "name" in each}
    assert run_small(*words.replace("@", str(given)).split(), "-o", tmp_path / "file.png").status == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "file.png"))


def objects(value):
    """All objects in JSON."""
    if isinstance(value, dict):
        yield value
        value = [*value.values()]
    for each in value if isinstance(value, list) else []:
        yield from objects(each)


def test_other_commands_read_standard_input(  # noqa: PLR0917
    result, impasto, feed, content_image, style_image, narrow_weights, pixels
):
    again, log = result.with_name("again.png"), result.with_suffix(".jsonl")
    feed(result)
    rerun = ["rerun", "-", content_image, style_image, "-o", again, "--weights", narrow_weights]
    assert impasto(*rerun).status == 0
    assert np.array_equal(pixels(result), pixels(again))
    feed(result)
    assert impasto("inspect", "-").out == impasto("inspect", result).out
    feed(result)
    piped = json.loads(impasto("compare", "-", result, "--json").out)
    assert (piped[0]["name"], piped[1]["rms"]) == ("standard input", 0)
    assert piped[0]["recipe"] == piped[1]["recipe"]
    for command, first, other in (("recolor", result, content_image), ("plot", log, None)):
        names = [result.with_name(f"{command}{number}.png") for number in (1, 2)]
        feed(first)
        rest = [other] if other else []
        assert impasto(command, "-", *rest, "-o", names[0]).status == 0
        assert impasto(command, first, *rest, "-o", names[1]).status == 0
        if command == "recolor":  # the plot's title is the name of the file
            assert np.array_equal(pixels(names[0]), pixels(names[1]))


def test_a_result_can_go_to_standard_output(stylize, catch, out, pixels):
    sent = catch()
    outcome = stylize("-o", "-")
    assert outcome.status == 0
    assert "saved" not in outcome.err
    assert "done after 3 steps" in outcome.err
    image = image_of(sent.getvalue())
    assert stylize().status == 0
    assert np.array_equal(image, pixels(out))
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_other_commands_write_to_standard_output(  # noqa: PLR0917
    result, impasto, catch, content_image, narrow_weights, pixels
):
    calls = {
        "recolor": ["recolor", result, content_image],
        "compare": ["compare", result, content_image],
        "plot": ["plot", result.with_suffix(".jsonl")],
        "demo": ["demo", "--size", 32, "--steps", 1, "--weights", narrow_weights, "--device", "cpu"],
    }
    for name, words in calls.items():
        sent = catch()
        outcome = impasto(*words, "-o", "-")
        assert (outcome.status, outcome.out) == (0, ""), name
        assert "saved" not in outcome.err
        image = image_of(sent.getvalue())
        path = result.with_name(f"{name}.png")
        assert impasto(*words, "-o", path).status == 0
        assert np.array_equal(image, pixels(path)), name


@pytest.mark.weights
def test_a_network_can_go_to_standard_output(  # noqa: PLR0917
    impasto, feed, catch, style_image, content_image, narrow_weights, tmp_path, pixels
):
    flags = ["--steps", 1, "--weights", narrow_weights, "--device", "cpu", "--precision", "float32"]
    feed(style_image)
    sent = catch()
    assert impasto("distill", "-", "-o", "-", *flags).status == 0
    network, out = tmp_path / "network.safetensors", tmp_path / "out.png"
    network.write_bytes(sent.getvalue())
    feed(network)
    assert impasto("fast", content_image, "-", "-o", out, *flags[4:]).status == 0
    library.fast(content_image, network, network=library.network_for(network, "cpu", "float32")).save(
        tmp_path / "b.png"
    )
    assert np.array_equal(pixels(out), pixels(tmp_path / "b.png"))


def test_two_pipes_in_one_command_are_refused(run_small, impasto, feed, content_image, style_image):
    feed(style_image)
    for words in (["stylize", "-", "-"], ["stylize", "-", style_image, "--mask", "-"], ["texture", "-", "-=2"]):
        assert run_small(*words).complaint().startswith("-: standard input can be read only once; give it for one")
    assert "only once" in impasto("compare", "-", "-").complaint()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--json", "-: a pipe carries one image and nothing else; leave out --json"),
        ("--resume", "--resume: a result on standard output needs a checkpoint file; give --checkpoint FILE"),
        ("--log -", "--log: got -, but only the result can go to a pipe; give the name of a file"),
        ("--preview -", "--preview: got -, but only the result"),
        ("--checkpoint -", "--checkpoint: got -, but only the result"),
        ("--timelapse -", "--timelapse: got -, but only the result"),
    ],
)
def test_what_cannot_be_piped_is_refused(flags, said, stylize, catch):
    sent = catch()
    assert stylize("-o", "-", *flags.split()).complaint().startswith(said)
    assert sent.getvalue() == b""


def test_a_sweep_reads_standard_input_and_writes_a_folder(run_small, feed, content_image, style_image, tmp_path):
    words = ["--grid", "seed=1"]
    assert run_small("sweep", content_image, style_image, "-o", "-", *words).complaint() == (
        "-: a sweep writes a folder of results; give its name"
    )
    feed(content_image)
    assert run_small("sweep", "-", style_image, "-o", tmp_path / "sweep", *words, "-q").status == 0
    assert (tmp_path / "sweep" / "seed=1.png").exists()


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "standard input: is empty"), (b"words", "standard input: is text; give a PNG")]
)
def test_what_is_no_image_is_refused_by_the_name_of_the_stream(  # noqa: PLR0917
    data, said, run_small, impasto, feed, style_image
):
    feed(data)
    assert run_small("stylize", "-", style_image).complaint().startswith(said)
    feed(data)
    assert impasto("inspect", "-").complaint().startswith(said)
    feed(b"{")
    assert impasto("plot", "-", "-o", "p.png").complaint().startswith("standard input: holds no step of a run")


def test_a_terminal_is_neither_read_nor_written(  # noqa: PLR0917
    stylize, run_small, impasto, style_image, result, monkeypatch
):
    pty = pytest.importorskip("pty")
    main, terminal = pty.openpty()
    with os.fdopen(main, "rb"), io.TextIOWrapper(os.fdopen(terminal, "r+b", buffering=0)) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        said = "standard input: is a terminal; redirect it (< FILE), or give the name of a file"
        assert run_small("stylize", "-", style_image).complaint() == said
        assert impasto("inspect", "-").complaint() == said
        monkeypatch.setattr(sys, "stdout", stream)
        said = "-: standard output is a terminal; redirect it (> FILE), or give the name of a file"
        assert stylize("-o", "-").complaint() == said
        assert impasto("plot", result.with_suffix(".jsonl"), "-o", "-").complaint() == said


def test_closed_streams_are_refused(stylize, run_small, style_image, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert run_small("stylize", "-", style_image).complaint().startswith("standard input: is closed; ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("info --size -", "--size: got '-'; give a whole number (see `impasto info --help`)"),
        ("presets -", "unknown preset '-'; available: "),
        ("stylize a.png b.png -o o.png --weights -", "-: is not an existing file; "),
        ("distill a.png -o o.safetensors --pictures -", "-: is not a folder; give one with training images"),
    ],
)
def test_where_no_file_can_be_a_pipe_it_is_refused_as_it_was_typed(words, said, impasto, content_image, monkeypatch):
    monkeypatch.chdir(content_image.parent)
    words = words.replace("a.png", content_image.name).replace("b.png", content_image.name)
    assert impasto(*words.split()).complaint().startswith(said)


def test_a_file_can_be_called_like_a_pipe(  # noqa: PLR0917
    run_small, impasto, content_image, style_image, read_recipe, monkeypatch, out
):
    monkeypatch.chdir(out.parent)
    Path("-").write_bytes(content_image.read_bytes())
    monkeypatch.setattr(sys, "stdin", None)
    assert run_small("stylize", "./-", "./-=0.5", style_image).status == 0
    recipe = read_recipe()
    assert [recipe["content"]["name"], *(style["name"] for style in recipe["styles"])] == ["-", "-", "painting.png"]
    assert impasto("recolor", out, content_image, "--output=./-", "--overwrite").complaint().startswith(f"{out.parent}")


def test_a_result_is_kept_if_the_pipe_breaks(start, content_image, style_image, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    kept = tmp_path / "kept"
    kept.mkdir()
    environment = {**os.environ, "TMPDIR": str(kept), "OMP_NUM_THREADS": "1"}
    process = start("stylize", content_image, style_image, "-o", "-", "-q", stdout=writer, env=environment)
    os.close(writer)
    _, err = process.communicate(timeout=LIMIT)
    (path,) = kept.iterdir()
    assert process.returncode == 1
    assert err.decode() == f"impasto: standard output: Broken pipe; the result is in {path} instead\n"
    with Image.open(path) as image:
        assert image.size == (32, 24)


@pytest.mark.posix("SIGINT of another process")
def test_an_interrupted_run_sends_the_image_so_far(start, content_image, style_image, tmp_path):
    flags = ["-o", "-", "--steps", 1_000_000, "--log", "run.jsonl", "--checkpoint", "run.checkpoint"]
    process = start("stylize", content_image, style_image, *flags, stdout=subprocess.PIPE)
    while not (tmp_path / "run.jsonl").exists() or not (tmp_path / "run.jsonl").stat().st_size:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    data, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert image_of(data).shape == (24, 32, 3)
    assert (tmp_path / "run.checkpoint").exists()
