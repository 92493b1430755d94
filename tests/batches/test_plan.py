"""The plan of a batch: which jobs it has, and names that cannot collide."""

import tracemalloc
from pathlib import Path

import pytest

from impasto.batches.grid import Combination
from impasto.batches.inputs import hashed_files, image_files
from impasto.batches.plan import Plan, comparable
from impasto.errors import PictureError
from impasto.jobs.job import InputFile, StyleFile
from impasto.settings.presets import preset


def digest(number):
    return f"{number:064x}"


def files(*paths):
    return [InputFile(path=path, sha256=digest(index)) for index, path in enumerate(paths)]


def styles(*paths):
    return [(StyleFile(path=path, sha256=digest(1000 + index)),) for index, path in enumerate(paths)]


def names(contents, style_files=("s.png",), combinations=None, **more):
    plan = Plan(contents, styles(*style_files), combinations or [Combination({}, preset())], "out", **more)
    return [planned.name for planned in plan.jobs]


def test_names_are_those_of_the_images_and_the_values():
    grid = [Combination({"seed": str(seed)}, preset().replace(seed=seed)) for seed in (1, 2)]
    assert names(files("a/x.jpg", "b/y.png"), ("s.png", "t.png")) == ["x-s.png", "x-t.png", "y-s.png", "y-t.png"]
    assert names(files("x.jpg"), combinations=grid, suffix=".jpg") == ["x-s_seed=1.jpg", "x-s_seed=2.jpg"]


@pytest.mark.parametrize(
    ("contents", "style_files"),
    [
        (["a/x.jpg", "b/x.jpg"], ["s.png"]),
        (["x.jpg", "x.png"], ["s.png"]),
        (["x.jpg", "X.jpg"], ["s.png"]),
        (["caf\u00e9.jpg", "cafe\u0301.jpg"], ["s.png"]),
        (["a-b.jpg", "a.jpg"], ["c.png", "b-c.png"]),
        (["a?b.jpg", "a:b.jpg", "a b.jpg"], ["s.png"]),
        (["x" * 300 + "1.jpg", "x" * 300 + "2.jpg"], ["s.png"]),
        (["\u8272" * 100 + "1.jpg", "\u8272" * 100 + "2.jpg"], ["s.png"]),
        ([".jpg", "..jpg", "-.jpg"], ["s.png"]),
    ],
)
def test_no_two_names_are_those_of_one_file_on_any_system(contents, style_files):
    found = names(files(*contents), style_files)
    assert len({comparable(name) for name in found}) == len(contents) * len(style_files)
    assert all(len(name.encode()) <= 255 - len(".checkpoint.part.lock") for name in found)
    assert not any(character in name for name in found for character in '/\\:?*"<>|')


def test_equal_files_under_two_names_are_one_job():
    same = [InputFile(path=path, sha256=digest(0)) for path in ("a.jpg", "copy of a.jpg")]
    assert names(same) == ["a-s.png"]


def test_a_name_stays_with_its_job_and_is_given_to_no_other():
    first = Plan(files("a/x.jpg"), styles("s.png"), [Combination({}, preset())], "out")
    named = {planned.id: planned.name for planned in first.jobs}
    assert named == {first.jobs[0].id: "x-s.png"}
    both = [*files("a/x.jpg"), InputFile(path="b/x.jpg", sha256=digest(9))]
    again = names(both, named=named)
    assert again[0] == "x-s.png"
    assert again[1].startswith("x-s-")


def test_jobs_have_the_inputs_of_their_place():
    grid = [Combination({"init": "i.png"}, preset().replace(init="i.png"))]
    init = InputFile(path="i.png", sha256=digest(5))
    plan = Plan(files("x.jpg"), styles("s.png"), grid, "out", inits={"i.png": init}, log=True)
    job = plan.job(plan.jobs[0])
    assert (job.id, job.init, job.task) == (plan.jobs[0].id, init, "stylize")
    assert (Path(job.outputs.result).name, Path(job.outputs.log).suffix) == ("x-s_init=i.png.png", ".jsonl")
    assert plan.labels(plan.jobs[0]) == {"content_image": "x.jpg", "style_image": "s.png", "init": "i.png"}
    on_storage = Plan(files("x.jpg"), styles("s.png"), [Combination({}, preset())], "s3://bucket/out/")
    assert on_storage.job(on_storage.jobs[0]).outputs.result == "s3://bucket/out/x-s.png"


def test_textures_and_reconstructions_are_planned_too():
    texture = Plan([None], styles("s.png"), [Combination({}, preset().from_noise())], "out")
    assert (texture.job(texture.jobs[0]).task, texture.jobs[0].name) == ("texture", "s.png")
    inversion = Plan(files("x.jpg"), [()], [Combination({}, preset().from_noise())], "out")
    assert (inversion.job(inversion.jobs[0]).task, inversion.jobs[0].name) == ("reconstruct", "x.png")


def test_a_large_plan_is_small():
    contents = [InputFile(path=f"/photos/{number}.jpg", sha256=digest(number)) for number in range(2000)]
    tracemalloc.start()
    plan = Plan(contents, styles("s.png", "t.png", "u.png", "v.png", "w.png"), [Combination({}, preset())], "out")
    assert len(plan.jobs) == len({planned.id for planned in plan.jobs}) == 10_000
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_image_files_are_found_in_folders_and_by_patterns(tmp_path):
    for name in ("b.jpg", "a.PNG", ".hidden.png", "notes.txt", "sub/c.webp", "odd[1].jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    assert [path.name for path in image_files([tmp_path])] == ["a.PNG", "b.jpg", "odd[1].jpg"]
    assert [path.name for path in image_files([tmp_path / "*.jpg"])] == ["b.jpg", "odd[1].jpg"]
    assert [path.name for path in image_files([tmp_path / "**" / "*.webp"])] == ["c.webp"]
    assert [path.name for path in image_files([tmp_path / "odd[1].jpg"])] == ["odd[1].jpg"]
    assert image_files([tmp_path / "b.jpg", tmp_path]) == [tmp_path / name for name in ("b.jpg", "a.PNG", "odd[1].jpg")]
    with pytest.raises(PictureError, match=r"nothing\*: matches no images"):
        image_files([tmp_path / "nothing*"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(PictureError, match="empty: contains no images"):
        image_files([tmp_path / "empty"])


def test_unreadable_files_are_reported_and_the_others_hashed(tmp_path):
    good = tmp_path / "good.png"
    good.write_bytes(b"x")
    found, failures = hashed_files([good, tmp_path / "missing.png", tmp_path])
    assert [file.path for file in found] == [str(good)]
    assert [failure.rpartition(": ")[2] for failure in failures] == [
        "does not exist; check the name",
        "is a folder; give the name of an image file",
    ]
