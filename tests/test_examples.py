"""The notebooks in `examples/` run, at a small size and on a small network."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import impasto
from impasto.vgg.model import VGG19

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def cells(notebook: Path) -> list[dict[str, Any]]:
    return json.loads(notebook.read_text(encoding="utf-8"))["cells"]  # type: ignore[no-any-return]


def code_of(notebook: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(notebook) if cell["cell_type"] == "code"]


def displayed(code: str, namespace: dict[str, Any]) -> object:
    """Execute a cell; the value of its last expression, which a notebook displays."""
    *before, last = ast.parse(code).body
    is_expression = isinstance(last, ast.Expr)
    exec(compile(ast.Module(before if is_expression else [*before, last], []), "cell", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), namespace) if is_expression else None


@pytest.mark.weights
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_run_in_order(
    notebook: Path, narrow: VGG19, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(VGG19, "load", lambda *_, **__: narrow)
    first, *others = code_of(notebook)
    small, count = re.subn(r"^SIZE = \d+", "SIZE = 64", first, flags=re.MULTILINE)
    assert count == 1
    namespace: dict[str, Any] = {}
    shown = [displayed(code, namespace) for code in (small, *others)]
    images = [each for each in shown if isinstance(each, impasto.Picture | Image.Image)]
    assert len(images) >= 4
    assert all(each.height == 64 for each in images)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_holds_no_outputs(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in cells(notebook)]
    assert len({*ids}) == len(ids)
    outputs = [(cell["outputs"], cell["execution_count"]) for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert outputs == [([], None)] * len(outputs)
    assert notebook.stat().st_size < 20_000


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_public_names(notebook: Path) -> None:
    tree = ast.parse("\n".join(code_of(notebook)))
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "impasto"
    }
    assert names - {*impasto.__all__} == set()


def test_there_is_a_notebook_and_the_readme_links_it() -> None:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in NOTEBOOKS if f"(examples/{path.name})" not in readme] == []
    assert len(NOTEBOOKS) >= 1
