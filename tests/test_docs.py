"""The commands in the guide and the gallery do what is said there: all are run, at a small size."""

import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from impasto.cli import main
from impasto.settings.presets import names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
PICTURES = (".jpg", ".png")
OUTPUTS = {"-o", "--log", "--preview", "--timelapse"}
PAINTS = {"stylize", "texture", "reconstruct", "sweep", "demo"}

Run = Callable[[list[str]], int]


def commands(page: Path) -> list[list[str]]:
    """The words of every command in a page's console blocks and of those beneath its pictures."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [*"".join(blocks).splitlines(), *re.findall(r"`(impasto [^`]* -o [^`]*)`", text)]
    words = [shlex.split(line, comments=True) for line in lines]
    return [each[1:] for each in words if each[:1] == ["impasto"]]


def inputs(words: list[str]) -> Iterator[Path]:
    """The pictures that a command reads, one in each folder that it reads from."""
    for before, word in zip(["", *words], words, strict=False):
        name = word if word.endswith((*PICTURES, "/")) else word.rpartition("=")[0]
        if name.endswith((*PICTURES, "/")) and before not in OUTPUTS:
            yield Path(name) / "one.jpg" if name.endswith("/") else Path(name)


def draw(path: Path) -> None:
    """A small picture, white on its left, as a mask would be; of a cutout the corners are transparent."""
    size = (96, 72) if path.parent == Path() else (320, 240)  # networks learn on what lies in folders
    image = Image.linear_gradient("L").resize(size).convert("RGBA")
    ImageDraw.Draw(image).rectangle((0, 0, 40, 71), fill="white")
    if path.stem == "cutout":
        image.putalpha(Image.radial_gradient("L").resize(size).point(lambda level: 255 * (level < 128)))
    else:
        image = image.convert("RGB")
    path.parent.mkdir(exist_ok=True)
    image.save(path)


def small(words: list[str], weights: Path) -> list[str]:
    """The command in a size that takes no time; pages save to one name again and again."""
    network = {"--weights": str(weights), "--device": "cpu", "--precision": "float32"}
    if words[0] in PAINTS:
        flags = {"--size": "64", "--steps": "2", **network}
    elif words[0] == "distill":
        flags = {"--steps": "1", **network}
    elif words[0] == "fast":
        flags = {"--size": "64"}
    else:
        return words
    kept = [word for before, word in zip(["", *words], words, strict=False) if not {word, before} & {*flags}]
    return [
        *(word for word in kept if word != "--overwrite"),
        "--overwrite",
        *(word for flag in flags.items() for word in flag),
    ]


@pytest.fixture
def run(narrow_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command in a folder of its own, with the pictures there that it reads."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def done(words: list[str]) -> int:
        for path in inputs(words):
            if not path.exists():
                draw(path)
        if words[-1].endswith("/"):  # what it paints into
            Path(words[-1]).mkdir(exist_ok=True)
        return main(small(words, narrow_weights))

    yield done
    torch.set_num_threads(threads)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_the_commands_work(page: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(page):
        assert run(words) == 0, f"impasto {shlex.join(words)}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_pictures_are_there_and_small(page: Path) -> None:
    pictures = [DOCS / place for place in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))]
    assert [picture.name for picture in pictures if not picture.is_file()] == []
    assert [picture.name for picture in pictures if picture.stat().st_size > 300_000] == []


def test_no_picture_is_left_over() -> None:
    texts = "".join(page.read_text(encoding="utf-8") for page in (*PAGES, ROOT / "README.md"))
    there = [each for folder in ("images", "decisions") for each in (DOCS / folder).iterdir()]
    assert [each.name for each in there if each.name not in texts] == []


def test_every_preset_is_named() -> None:
    text = (DOCS / "knobs.md").read_text(encoding="utf-8")
    ranges = text.replace("`keras-1` ... `keras-5`", " ".join(f"`keras-{run}`" for run in range(1, 6)))
    assert [name for name in names() if f"`{name}`" not in ranges] == []


def test_the_pages_can_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page is in the navigation, every link and anchor leads somewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that build them
        build = pytest.importorskip("mkdocs.commands.build")
        config = pytest.importorskip("mkdocs.config").load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path))
        build.build(config)
    assert {f"{page.stem}.html" for page in PAGES} <= {each.name for each in tmp_path.iterdir()}
