"""Plots of losses, by what is in the figure."""

import sys
import warnings

import pytest
from PIL import Image

from impasto.errors import MissingError, OutputError
from impasto.jobs.log import Entry
from impasto.sweeps import plot

LAYERS = {"content": {"block4_conv2": 0.5}, "style": {"block1_conv1": 1.0, "block2_conv1": 2.0}}


def run(*totals, tv=0.0, scales=None, layers=None):
    """The entries of a run with these totals."""
    return [
        Entry(
            step,
            scales[step] if scales else 32,
            float(step),
            {"total": total, "content": 0.1 * step, "style": total, "tv": tv},
            layers or {},
        )
        for step, total in enumerate(totals)
    ]


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def legend(holder):
    return [text.get_text() for each in [holder.get_legend()] if each for text in each.get_texts()]


def test_one_run_is_drawn_term_by_term_on_a_log_scale():
    (axes,) = plot._figure({"a.jsonl": run(3.0, 2.0)}).axes
    assert (axes.get_title(), axes.get_yscale()) == ("a.jsonl", "log")
    assert legend(axes) == ["total", "content", "style"]
    assert list(axes.lines[0].get_ydata()) == [3, 2]


def test_total_variation_is_drawn_where_there_is_some():
    assert legend(plot._figure({"a": run(3.0, 2.0, tv=0.5)}).axes[0]) == ["total", "content", "style", "tv"]


def test_several_runs_have_a_panel_for_each_term_and_one_legend():
    figure = plot._figure({"a": run(3.0, 2.0), "b": run(4.0, 5.0, 6.0)})
    assert titles(figure) == ["total", "content", "style"]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[3, 2], [4, 5, 6]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_losses_of_layers_have_a_panel_of_their_own():
    figure = plot._figure({"a": run(3.0, 2.0, layers=LAYERS)})
    assert titles(figure) == ["a", "losses of the layers"]
    assert legend(figure.axes[1]) == ["content block4_conv2", "style block1_conv1", "style block2_conv1"]
    assert len(plot._figure({"a": run(3.0, layers=LAYERS), "b": run(2.0)}).axes[-1].lines) == 6


def test_a_change_of_scale_is_marked_where_it_is():
    (axes,) = plot._figure({"a": run(3.0, 2.0, 1.0, scales=[32, 32, 64])}).axes
    assert [text.get_text() for text in axes.texts] == [" 64 px"]
    assert axes.lines[-1].get_xdata() == [1.5, 1.5]


def test_a_legend_of_long_names_stays_within_the_figure(tmp_path):
    runs = {f"{number} style_layers=" + "block1_conv1+" * 12: run(3.0, 2.0) for number in range(6)}
    figure = plot._figure(runs)
    figure.savefig(tmp_path / "out.png")
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_of_very_many_runs_no_legend_hides_the_curves():
    figure = plot._figure({str(number): run(3.0, 2.0) for number in range(60)})
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
def test_whatever_a_log_may_hold_can_be_drawn(runs, suffix, tmp_path):
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


def test_a_suffix_of_no_plot_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"out\.gif: its suffix names no format of plots; end it in \.png, "):
        plot.check_output(tmp_path / "out.gif", overwrite=False)
