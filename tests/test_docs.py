"""The docs agree with the program: every command is run at a tiny size, every default is compared with `Settings`."""

import ast
import contextlib
import html
import html.parser
import inspect
import itertools
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt
from PIL import Image, ImageDraw
from pydantic.fields import FieldInfo

import impasto
from impasto.batches.inline import InlineExecutor
from impasto.cli import cluster_options, main
from impasto.jobs.compute import Compute
from impasto.jobs.worker import Worker
from impasto.settings.model import INITS, Settings
from impasto.settings.presets import names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
README = ROOT / "README.md"
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in [*PAGES, README]}
IMAGES = (".jpg", ".png")
OUTPUTS = {"-o", "--log", "--preview", "--timelapse"}
OPTIMIZED = {"stylize", "texture", "reconstruct", "sweep", "batch", "demo"}

Run = Callable[[list[str]], int]


def commands(page: Path) -> list[list[str]]:
    """The arguments of every distinct command in a page's console blocks and below its images."""
    text = TEXTS[page.name]
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [*"".join(blocks).splitlines(), *re.findall(r"`(impasto [^`]* -o [^`]*)`", text)]
    words = [tuple(shlex.split(line, comments=True)) for line in lines]
    return [list(command[1:]) for command in dict.fromkeys(words) if command and Path(command[0]).name == "impasto"]


def inputs(words: list[str]) -> Iterator[Path]:
    """The images that a command reads, one in each folder that it reads from."""
    for before, word in zip(["", *words], words, strict=False):
        name = word if word.endswith((*IMAGES, "/")) else word.rpartition("=")[0]
        if name.endswith((*IMAGES, "/")) and before not in OUTPUTS:
            yield Path(name) / "one.jpg" if name.endswith("/") else Path(name)


def draw(path: Path) -> None:
    """Write a small image, white on its left, as a mask would be; the corners of "cutout" are transparent."""
    size = (48, 36) if path.parent == Path() else (320, 240)  # training crops from the images in a folder
    image = Image.linear_gradient("L").resize(size).convert("RGBA")
    ImageDraw.Draw(image).rectangle((0, 0, 20, 35), fill="white")
    if path.stem == "cutout":
        image.putalpha(Image.radial_gradient("L").resize(size).point(lambda level: 255 * (level < 128)))
    else:
        image = image.convert("RGB")
    path.parent.mkdir(exist_ok=True)
    image.save(path)


def tiny(words: list[str], weights: Path) -> list[str]:
    """The command with one step at a tiny size on a small network; pages reuse the names of their outputs."""
    network = {"--weights": str(weights), "--device": "cpu", "--precision": "float32"}
    flags = {command: {"--size": "48", "--steps": "1", **network} for command in OPTIMIZED}
    flags |= {"distill": {"--steps": "1", "--pictures": "photos/", **network}, "fast": {"--size": "48"}}
    flags |= {"rerun": network, "info": network, "run": network}
    if words[0] not in flags:
        return words
    own = flags[words[0]]
    kept = [word for before, word in zip(["", *words], words, strict=False) if not {word, before} & {*own}]
    overwrite = ["--overwrite"] if "-o" in words and "--overwrite" not in words else []
    return [*kept, *overwrite, *(word for flag in own.items() for word in flag)]


def inline_executor(compute: Compute, *_: object, overwrite: bool, **__: object) -> InlineExecutor:
    """An executor that runs the jobs of a batch in this process."""
    return InlineExecutor(Worker(compute), overwrite=overwrite)


@pytest.fixture
def run(narrow_weights: Path, small_crops: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a command in a temporary folder that contains the images it reads."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run_command(words: list[str]) -> int:
        words = tiny(words, narrow_weights)
        for path in inputs(words):
            if not path.exists():
                draw(path)
        for before, word in itertools.pairwise(words):
            if before == "-o" and word.endswith("/"):  # the folder for the outputs
                Path(word).mkdir(exist_ok=True)
        with monkeypatch.context() as patch:
            if words[0] == "sweep":
                patch.setitem(sys.modules, "matplotlib", None)  # without it a sweep draws no plot: seconds each
            patch.setattr(cluster_options, "LocalExecutor", inline_executor)  # without processes: seconds each
            if ">" in words:
                with Path(words.pop(words.index(">") + 1)).open("w") as file, contextlib.redirect_stdout(file):
                    return main([word for word in words if word != ">"])
            return main(words)

    yield run_command
    torch.set_num_threads(threads)


@pytest.mark.parametrize("page", [page for page in [*PAGES, README] if commands(page)], ids=lambda page: page.stem)
def test_the_commands_work(page: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(page):
        assert run(words) == 0, f"impasto {shlex.join(words)}: {capsys.readouterr().err}"


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if "```python" in text])
def test_the_names_in_the_examples_are_public(name: str) -> None:
    code = "".join(re.findall(r"```python\n(.*?)```", TEXTS[name], re.DOTALL))
    assert public_names(code) - {*impasto.__all__} == set()


def public_names(code: str) -> set[str]:
    """The X of every impasto.X in Python code."""
    return {
        node.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "impasto"
    }


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.stem)
def test_the_images_exist_and_are_small(page: Path) -> None:
    images = [page.parent / place for place in re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXTS[page.name])]
    assert [image.name for image in images if not image.is_file()] == []
    assert [image.name for image in images if image.stat().st_size > 300_000] == []


def test_every_image_is_used() -> None:
    texts = "".join(TEXTS.values())
    files = [path for path in (DOCS / "images").rglob("*") if path.is_file()]
    assert [path.name for path in files if f"images/{path.relative_to(DOCS / 'images').as_posix()}" not in texts] == []


def test_every_preset_is_listed() -> None:
    text = TEXTS["settings.md"].replace("`keras-1` ... `keras-5`", " ".join(f"`keras-{run}`" for run in range(1, 6)))
    assert [name for name in names() if f"`{name}`" not in text] == []


# Defaults and ranges: the table of all settings, and every "`--flag` (default VALUE)" in the text.

BY_FLAG = {
    f"--{(field.json_schema_extra or {}).get('flag', name.replace('_', '-'))}": field  # type: ignore[union-attr]
    for name, field in Settings.model_fields.items()
}
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXTS["settings.md"].partition("## All settings")[2].splitlines()
    if line.startswith("| `--")
]
STATED = re.compile(r"`(--[a-z0-9-]+)`\s+\(default\s+([^)]+)\)")


def default_in(text: str, field: FieldInfo) -> object:
    """A default as the docs write it, as the type that the field has."""
    if isinstance(field.default, dict):
        pairs = [word.strip().strip("`").split("=") for word in text.split(",")]
        return {name: float(weight) for name, weight in pairs}
    if isinstance(field.default, str):
        return text.strip("`") if text.startswith("`") else None
    return {"on": True, "off": False}[text] if isinstance(field.default, bool) else float(text)


def values_in(text: str) -> set[object]:
    """A range such as [0, 1) as its two bounds, or the values of a list."""
    if interval := re.fullmatch(r"([\[(])([^,]+), ([^,]+)([\])])", text):
        opening, low, high, closing = interval.groups()
        return {(">=" if opening == "[" else ">", number(low)), ("<=" if closing == "]" else "<", number(high))}
    return {word.strip().strip("`") for word in text.split(",")}


def number(text: str) -> float:
    base, _, exponent = text.partition("^")
    return float(base) ** int(exponent or 1)


def values_of(name: str, field: FieldInfo) -> set[object]:
    """The same of a setting."""
    if get_origin(field.annotation) is Literal:
        return {str(value) for value in get_args(field.annotation)}
    if isinstance(field.default, bool):
        return {"on", "off"}
    if name == "--init":
        return {*INITS, "a file"}
    if isinstance(field.default, dict):
        return {"NAME=WEIGHT"}
    return {bound for each in field.metadata for bound in bounds_of(each)}


def bounds_of(constraint: Any) -> list[tuple[str, float]]:
    match constraint:
        case Ge(ge=value):
            return [(">=", value)]
        case Gt(gt=value):
            return [(">", value)]
        case Le(le=value):
            return [("<=", value)]
        case Lt(lt=value):
            return [("<", value)]
    return []


def test_the_table_lists_every_setting_in_order() -> None:
    assert [row[0].strip("`") for row in TABLE] == list(BY_FLAG)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0].strip("`-"))
def test_the_table_states_default_and_range(row: list[str]) -> None:
    flag = row[0].strip("`")
    assert default_in(row[1], BY_FLAG[flag]) == BY_FLAG[flag].default
    assert values_in(row[2]) == values_of(flag, BY_FLAG[flag])


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if STATED.search(text)])
def test_defaults_in_the_text_are_right(name: str) -> None:
    for flag, default in STATED.findall(TEXTS[name]):
        assert default_in(" ".join(default.split()), BY_FLAG[flag]) == BY_FLAG[flag].default, flag


@pytest.mark.parametrize("name", TEXTS)
def test_no_default_is_stated_in_a_form_that_is_not_checked(name: str) -> None:
    text = STATED.sub("", TEXTS[name].partition("## All settings")[0])
    assert re.findall(r"\bdefaults?\b[^.|\n]{0,12}\d[^\n]*", text) == []


# The pages


def test_the_reference_documents_every_public_name() -> None:
    documented = set(re.findall(r"^::: impasto\.(\w+)$", TEXTS["api.md"], re.MULTILINE))
    assert documented == {*impasto.__all__} - {"__version__", "ImpastoError"}  # an error, documented with the others


class Requests(html.parser.HTMLParser):
    """Collects what a browser loads for a page from another host; links that a person follows are none of it."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        urls = [value or "" for name, value in attrs if name in {"src", "srcset", "href"} and tag != "a"]
        self.urls += [url for url in urls if re.match(r"(https?:)?//", url)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `make docs` builds them: strict, so that a broken link or anchor is an error."""
    pytest.importorskip("zensical")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "src", folder / "src")
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "docs"


def test_the_pages_can_be_built(site: Path) -> None:
    pages = [page.relative_to(DOCS) for page in PAGES]
    assert [page for page in pages if not (site / page.with_suffix(".html")).is_file()] == []
    navigation = re.findall(r"^  - (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(navigation) == sorted(page.as_posix() for page in pages)


def test_the_reference_is_made_of_the_docstrings(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).split())
    for name in {*impasto.__all__} - {"__version__", "ImpastoError"}:
        summary = (inspect.getdoc(getattr(impasto, name)) or "").partition("\n\n")[0]
        assert " ".join(summary.replace("`", "").split()) in text, name


def test_the_pages_load_nothing_from_other_hosts(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = Requests()
        page.feed(path.read_text(encoding="utf-8"))
        assert page.urls == [], path.name
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"']*", styles) == []
