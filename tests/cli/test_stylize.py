"""The commands that optimize an image, and their flags."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

STEPPED = ["step", "scale", "total", "content", "style", "tv", "grain", "seconds", "layers"]


def test_the_output_has_the_requested_size(stylize, out, pixels):
    outcome = stylize()
    assert outcome.status == 0
    assert pixels(out).shape == (24, 32, 3)
    assert outcome.out == ""
    began, *_, ended, saved = outcome.err.splitlines()
    assert began == "stylize: 32x24 pixels, 3 steps on cpu (1 threads) in float32 by torch, file weights"
    assert ended.startswith("done after 3 steps in 0:0")
    assert saved == f"saved {out}"


def test_as_many_threads_compute_as_are_asked_for(stylize, read_recipe):
    assert "(2 threads)" in stylize("--threads", 2).err
    assert read_recipe()["threads"] == 2


@pytest.mark.parametrize(("suffix", "kind"), [("png", "PNG"), ("JPG", "JPEG"), ("webp", "WEBP"), ("tiff", "TIFF")])
def test_the_suffix_chooses_the_format_and_each_carries_the_recipe(suffix, kind, stylize, impasto, out):
    out = out.with_suffix(f".{suffix}")
    assert stylize("-o", out).status == 0
    with Image.open(out) as image:
        assert (image.format, image.size) == (kind, (32, 24))
    output = json.loads(impasto("inspect", out).out)
    assert output["task"] == "stylize"
    assert [output["content"]["name"], output["styles"][0]["name"]] == ["photo.png", "painting.png"]
    assert output["steps_done"] == output["settings"]["steps"] == 3


def test_a_texture_needs_no_photo(run_small, content_image, style_image, read_recipe):
    assert run_small("texture", style_image, content_image).status == 0
    recipe = read_recipe()
    assert (recipe["task"], recipe["content"], len(recipe["styles"])) == ("texture", None, 2)
    assert recipe["settings"]["init"] == "noise"


def test_a_seamless_texture_loses_nothing_to_the_pools(run_small, style_image, read_recipe, pixels, out):
    assert run_small("texture", style_image, "--seamless", "--size", 40).status == 0
    assert read_recipe()["settings"]["padding"] == "circular"
    assert pixels(out).shape == (32, 32, 3)  # 40x31, in cells of sixteen pixels


def test_a_texture_that_begins_with_its_content_is_refused(run_small, style_image):
    assert (
        "texture synthesis has no content image" in run_small("texture", style_image, "--init", "content").complaint()
    )


def test_a_reconstruction_reads_one_layer(run_small, content_image, read_recipe):
    assert run_small("reconstruct", content_image, "--layer", "block2_conv1", "--content-weight", "3").status == 0
    recipe = read_recipe()
    assert (recipe["task"], recipe["styles"], recipe["settings"]["init"]) == ("reconstruct", [], "noise")
    assert recipe["settings"]["content_layers"] == {"block2_conv1": 1.0}
    assert recipe["settings"]["content_weight"] == 3.0
    assert (
        "give it with --layer" in run_small("reconstruct", content_image, "--content-layer", "block1_conv1").complaint()
    )


def test_every_setting_has_a_flag_that_sets_it(stylize, read_recipe):
    flags = (
        "--style-scale 0.9 --optimizer keras-adam --learning-rate 0.05 --adam-beta1 0.8 --adam-beta2 0.9 "
        "--adam-epsilon 1e-3 --average 0.5 --first-scale 24 --scale-factor 1.5 --full-steps-scale 300 "
        "--last-scale 300 --coarse-content 3 --adaptive-content 0.5 --faces off --grain-weight 0.5 "
        "--content-weight 0.25 --style-weight 2 --tv-weight 1e-3 --convention impasto "
        "--style-loss wasserstein --style-rotation 30 --strength 0.25 "
        "--method optimize "
        "--pooling avg --padding zeros --resampling tensorflow --init noise --seed 7 --content-layer block3_conv2 "
        "--style-layer block1_conv1=0.25 --style-layer block2_pool=3 --color content --depth 16 --dither"
    )
    assert stylize(*flags.split()).status == 0
    assert read_recipe()["settings"] == {
        "method": "optimize",
        "size": 32,
        "style_scale": 0.9,
        "style_rotation": 30.0,
        "strength": 0.25,
        "style_loss": "wasserstein",
        "steps": 3,
        "optimizer": "keras-adam",
        "learning_rate": 0.05,
        "adam_beta1": 0.8,
        "adam_beta2": 0.9,
        "adam_epsilon": 1e-3,
        "average": 0.5,
        "first_scale": 24,
        "scale_factor": 1.5,
        "full_steps_scale": 300,
        "last_scale": 300,
        "coarse_content": 3,
        "adaptive_content": 0.5,
        "faces": "off",
        "content_weight": 0.25,
        "style_weight": 2.0,
        "tv_weight": 1e-3,
        "grain_weight": 0.5,
        "content_layers": {"block3_conv2": 1.0},
        "style_layers": {"block1_conv1": 0.25, "block2_pool": 3.0},
        "convention": "impasto",
        "pooling": "avg",
        "padding": "zeros",
        "resampling": "tensorflow",
        "init": "noise",
        "seed": 7,
        "color": "content",
        "depth": 16,
        "dither": True,
    }


def test_layers_without_a_weight_share_one_equally(stylize, read_recipe):
    assert stylize("--style-layer", "block1_conv1", "--style-layer", "block2_conv1").status == 0
    assert read_recipe()["settings"]["style_layers"] == {"block1_conv1": 0.5, "block2_conv1": 0.5}


def test_flags_go_before_presets_which_go_before_defaults(stylize, read_recipe, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "gatys-2015"\n[settings]\ntv_weight = 5.0\nseed = 3\n')
    assert stylize("--preset", mine, "--seed", 4).status == 0
    settings = read_recipe()["settings"]
    assert [settings[name] for name in ("convention", "pooling", "tv_weight", "seed")] == ["gatys", "avg", 5.0, 4]


def test_a_bundled_preset_is_known_by_its_name(stylize, read_recipe):
    assert stylize("--preset", "keras").status == 0
    assert read_recipe()["settings"]["convention"] == "keras"


def test_an_init_file_is_the_initial_image(stylize, out, tmp_path, pixels):
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(noise)
    flags = ["--optimizer", "adam", "--learning-rate", "1e-7", "--average", 0]
    assert "identical to the initial image" in stylize("--init", noise, *flags).err
    assert np.array_equal(pixels(out), pixels(noise))


def test_a_seed_gives_the_same_noise_again_and_another_seed_another(run_small, style_image, out, pixels):
    seen = []
    for seed in (1, 1, 2):
        assert run_small("texture", style_image, "--seed", seed, "--steps", 1, "--overwrite").status == 0
        seen.append(pixels(out))
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_a_log_has_one_object_a_step_from_step_0(stylize, tmp_path):
    log = tmp_path / "log.jsonl"
    assert stylize("--log", log).status == 0
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [list(entry) for entry in entries] == [STEPPED] * 3
    assert [entry["step"] for entry in entries] == [0, 1, 2]
    assert entries[0]["content"] == 0  # the content image itself, before the first update
    assert 0 < entries[0]["seconds"] <= entries[1]["seconds"] <= entries[2]["seconds"]


def test_json_tells_every_event_on_standard_output_alone(stylize):
    outcome = stylize("--json")
    events = [json.loads(line) for line in outcome.out.splitlines()]
    assert [event["event"] for event in events] == ["began", "planned", *["stepped"] * 3, "ended", "saved"]
    assert list(events[2]) == ["event", *STEPPED]
    assert events[-2]["complete"] is True
    assert (outcome.status, outcome.err) == (0, "")


def test_quiet_says_nothing(stylize, out):
    outcome = stylize("--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert out.exists()


def test_a_preview_is_the_picture_after_that_many_steps(stylize, tmp_path, pixels):
    preview, two = tmp_path / "preview.png", tmp_path / "two.png"
    assert stylize("--optimizer", "adam", "--preview", preview, "--preview-every", 2).status == 0
    assert stylize("--optimizer", "adam", "--steps", 2, "-o", two).status == 0
    assert np.array_equal(pixels(preview), pixels(two))


def test_overwrite_replaces_a_file(stylize, out, pixels):
    out.write_text("old")
    assert stylize("--overwrite").status == 0
    assert pixels(out).shape == (24, 32, 3)


@pytest.mark.parametrize("style", ["swirls", "waves", "glass"])
def test_the_demo_uses_bundled_images_and_replaces_its_own_file(style, run_small, impasto, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run_small("demo", "-o", "impasto-demo.png", "--style", style).status == 0
    assert json.loads(impasto("inspect", "impasto-demo.png").out)["styles"][0]["name"] == f"{style}.jpg"


def test_the_demo_does_not_replace_a_file_of_the_users(run_small, out):
    out.write_text("precious")
    assert "exists already" in run_small("demo").complaint()
    assert out.read_text() == "precious"


@pytest.mark.parametrize(("color", "edge"), [(0, 32), (255, 16), (77, 1)])
def test_a_picture_of_one_color_is_content_and_style_of_a_finite_loss(color, edge, run_small, out, pixels):
    plain = out.with_name("plain.png")
    Image.new("RGB", (edge, edge), (color,) * 3).save(plain)
    outcome = run_small("stylize", plain, plain, "--json")
    assert outcome.status == 0
    assert all(event.get("total", 0) >= 0 for event in map(json.loads, outcome.out.splitlines()))
    assert pixels(out).shape == (32, 32, 3)


def test_a_device_that_is_not_there_is_refused(stylize, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "cuda is not available" in stylize("--device", "cuda").complaint()
