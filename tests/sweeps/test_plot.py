"""Plots of losses, by what is in the figure."""

import sys
import warnings

import pytest
from matplotlib.colors import to_hex
from PIL import Image

from impasto.errors import MissingError, OutputError
from impasto.jobs.log import Entry
from impasto.sweeps import plot

LAYERS = {"content": {"block4_conv2": 0.5}, "style": {"block1_conv1": 1.0, "block2_conv1": 2.0}}


def run(*totals, tv=0.0, grain=0.0, scales=None, layers=None):
    """The entries of a run with these totals."""
    return [
        Entry(
            step,
            scales[step] if scales else 32,
            float(step),
            {"total": total, "content": 0.1 * step, "style": total, "tv": tv, "grain": grain},
            layers or {},
        )
        for step, total in enumerate(totals)
    ]


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def legend(holder):
    return [text.get_text() for each in [holder.get_legend()] if each for text in each.get_texts()]


def test_one_run_is_drawn_term_by_term_on_a_log_scale():
    (axes,) = plot.draw({"a.jsonl": run(3.0, 2.0)}).axes
    assert (axes.get_title(), axes.get_yscale()) == ("a.jsonl", "log")
    assert legend(axes) == ["total", "content", "style"]
    assert list(axes.lines[0].get_ydata()) == [3, 2]


@pytest.mark.parametrize("term", ["tv", "grain"])
def test_total_variation_and_grain_are_drawn_if_they_are_used(term):
    assert legend(plot.draw({"a": run(3.0, 2.0, **{term: 0.5})}).axes[0]) == ["total", "content", "style", term]


def test_several_runs_have_a_panel_for_each_term_and_one_legend():
    figure = plot.draw({"a": run(3.0, 2.0), "b": run(4.0, 5.0, 6.0)})
    assert titles(figure) == ["total", "content", "style"]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[3, 2], [4, 5, 6]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_losses_of_layers_have_a_panel_of_their_own():
    figure = plot.draw({"a": run(3.0, 2.0, layers=LAYERS)})
    assert titles(figure) == ["a", "losses of the layers"]
    assert legend(figure.axes[1]) == ["content block4_conv2", "style block1_conv1", "style block2_conv1"]
    assert len(plot.draw({"a": run(3.0, layers=LAYERS), "b": run(2.0)}).axes[-1].lines) == 6


def test_more_runs_than_line_styles_have_no_panel_of_layers():
    figure = plot.draw({str(number): run(3.0, 2.0, layers=LAYERS) for number in range(5)})
    assert titles(figure) == ["total", "content", "style"]
    assert {line.get_linestyle() for line in figure.axes[0].lines} == {"-"}


def test_runs_have_a_color_each_the_same_in_every_panel():
    for count in (2, 10, 11, 60):
        figure = plot.draw({str(number): run(3.0, 2.0, layers=LAYERS) for number in range(count)})
        colors = [[to_hex(line.get_color()) for line in axes.lines] for axes in figure.axes[:3]]
        assert colors[0] == colors[1] == colors[2]
        assert len(set(colors[0])) == count


def test_a_run_of_one_step_is_visible():
    for runs in ({"a": run(3.0)}, {"a": run(3.0), "b": run(2.0)}):
        assert {line.get_marker() for line in plot.draw(runs).axes[0].lines} == {"."}


def test_a_legend_is_outside_of_the_panels(tmp_path):
    for runs in (
        {"a": run(3.0, 2.0, layers=LAYERS)},
        {"a": run(3.0, 2.0, layers=LAYERS), "b": run(2.0, layers=LAYERS)},
    ):
        figure = plot.draw(runs)
        figure.savefig(tmp_path / "out.png")
        legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
        panels = [axes.get_window_extent() for axes in figure.axes]
        assert not any(legend.get_window_extent().overlaps(panel) for legend in legends for panel in panels)


def test_a_change_of_scale_is_marked_where_it_is():
    (axes,) = plot.draw({"a": run(3.0, 2.0, 1.0, scales=[32, 32, 64])}).axes
    assert [text.get_text() for text in axes.texts] == [" 64 px"]
    assert axes.lines[-1].get_xdata() == [1.5, 1.5]


def test_a_legend_of_long_names_stays_within_the_figure(tmp_path):
    runs = {f"{number} style_layers=" + "block1_conv1+" * 12: run(3.0, 2.0) for number in range(6)}
    figure = plot.draw(runs)
    figure.savefig(tmp_path / "out.png")
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_too_many_runs_for_a_legend_are_named_by_their_colors():
    figure = plot.draw({str(number): run(3.0, 2.0) for number in range(60)})
    assert figure.legends == []
    assert figure.get_suptitle().startswith("60 runs")


@pytest.mark.parametrize("suffix", ["png", "svg", "PDF"])
@pytest.mark.parametrize(
    "runs",
    [
        {"a$b$^{.jsonl": run(1.0, 2.0)},
        {"_a\n\N{ARTIST PALETTE}": run(1.0, 2.0), "$": run(float("nan"), float("inf"))},
        {"a": run(float("nan"))},
        {"a": run(0.0)},
        {"a": run(5e-324, 1e308)},
    ],
)
def test_any_values_and_names_in_a_log_can_be_drawn(runs, suffix, tmp_path):
    out = tmp_path / f"out.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot.save(runs, out)
    assert out.stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_plot_is_no_larger_than_a_screen(tmp_path):
    plot.save({"a": run(1.0, tv=1.0), "b": run(2.0, tv=1.0, layers=LAYERS)}, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert max(image.size) <= 1300


def test_without_matplotlib_one_line_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingError, match=r"`pip install 'impasto\[plots\]'`"):
        plot.check_output(tmp_path / "out.png", overwrite=False)


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"out\.gif: its suffix names no plot format; use one of \.png, "):
        plot.check_output(tmp_path / "out.gif", overwrite=False)
