"""The files of the page: complete, small, from this host only, and without what the security policy forbids."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "src" / "impasto" / "web" / "static"
FILES = sorted(STATIC.iterdir())
MODULES = [file for file in FILES if file.suffix == ".js"]
PAGES = [file for file in FILES if file.suffix == ".html"]
FIRST_PAGE_BYTES = 150_000


def imports(module: Path, pattern: str) -> list[Path]:
    return [STATIC / name for name in re.findall(pattern, module.read_text(encoding="utf-8"))]


def loaded_at_start() -> Iterator[Path]:
    """The files that the browser loads with the first page."""
    return loaded_from(STATIC / "index.html")


def loaded_from(first: Path) -> Iterator[Path]:
    """A file, and all that it loads."""
    waiting, seen = [first], {first}
    while waiting:
        file = waiting.pop()
        yield file
        if file.suffix == ".html":
            found = imports(file, r'(?:src|href)="/static/([^"]+)"')
        else:
            found = imports(file, r'(?m)^import [^;]* from "\./([^"]+)"')
        waiting += [each for each in found if each not in seen]
        seen |= {*found}


def test_the_first_page_is_small() -> None:
    files = [*loaded_at_start()]
    assert STATIC / "create_view.js" in files
    assert {STATIC / "job_view.js", STATIC / "mask_editor.js"}.isdisjoint(files)  # they are loaded when they are needed
    assert sum(file.stat().st_size for file in files) < FIRST_PAGE_BYTES


def test_all_modules_of_the_first_page_are_asked_for_at_once() -> None:
    preloaded = imports(STATIC / "index.html", r'<link rel="modulepreload" href="/static/([^"]+)">')
    needed = {file for file in loaded_from(STATIC / "main.js") if file.suffix == ".js"}
    assert sorted(preloaded) == sorted(needed - {STATIC / "main.js"})


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_every_module_that_is_imported_exists_and_has_what_is_imported(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    for names, file in re.findall(r'import \{([^}]*)\} from "\./([^"]+)"', text):
        source = (STATIC / file).read_text(encoding="utf-8")
        exported = set(re.findall(r"(?m)^export (?:async )?(?:function|class|const) (\w+)", source))
        assert {name.split(" as ")[0].strip() for name in names.split(",")} <= exported
    for file in re.findall(r'import\("\./([^"]+)"\)', text):
        assert (STATIC / file).exists()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_every_module_fits_the_eye_and_says_what_it_is(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert text.startswith("/** ")
    assert text.count("\n") <= 250
    undocumented = re.findall(r"(?<!\*/)\n(export (?:async )?(?:function|class) \w+)", text)
    assert undocumented == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_comes_from_another_host(file: Path) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", file.read_text(encoding="utf-8")))
    assert {each for each in addresses if "www.w3.org" not in each} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_have_nothing_that_the_security_policy_forbids(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|<style|javascript:", text) == []
    labels, ids = set(re.findall(r'for="([^"]+)"', text)), set(re.findall(r'id="([^"]+)"', text))
    assert labels <= ids
    assert '<html lang="en">' in text
    for name in re.findall(r'"/static/([^"]+)"', text):
        assert (STATIC / name).exists()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_modules_make_no_markup_and_no_code_of_strings(module: Path) -> None:
    forbidden = (
        r"innerHTML|outerHTML\s*=[^=>]|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(.style"
    )
    assert re.findall(forbidden, module.read_text(encoding="utf-8")) == []
