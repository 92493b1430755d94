"""The command `impasto` with its subcommands; each is in the module of its name."""

from cyclopts import App

from impasto.cli.batch import batch
from impasto.cli.compare import compare
from impasto.cli.demo import demo
from impasto.cli.distill import distill
from impasto.cli.fast import fast
from impasto.cli.info import info
from impasto.cli.inspect import inspect
from impasto.cli.option_groups import MAIN
from impasto.cli.plot import plot
from impasto.cli.presets import presets
from impasto.cli.queue import cancel, queue
from impasto.cli.recolor import recolor
from impasto.cli.reconstruct import reconstruct
from impasto.cli.rerun import rerun
from impasto.cli.run_job import run
from impasto.cli.serve import serve
from impasto.cli.stylize import stylize
from impasto.cli.submit import submit
from impasto.cli.sweep import sweep
from impasto.cli.texture import texture
from impasto.cli.weights import weights
from impasto.version import __version__

app = App(
    name="impasto",
    help="Neural style transfer: transfers the style of one image to another.",
    version=__version__,
    help_format="plaintext",
    group_parameters=MAIN,
    suppress_keyboard_interrupt=False,  # `main` reports it
)

STYLES = "STYLE [STYLE...]"
app.command(stylize, usage=f"Usage: impasto stylize CONTENT {STYLES} --output FILE [OPTIONS]")
app.command(texture, usage=f"Usage: impasto texture {STYLES} --output FILE [OPTIONS]")
app.command(reconstruct, usage="Usage: impasto reconstruct CONTENT --output FILE [OPTIONS]")
app.command(fast, usage=f"Usage: impasto fast CONTENT {STYLES} --output FILE [OPTIONS]")
app.command(distill, usage="Usage: impasto distill STYLE --output FILE [OPTIONS]")
app.command(
    batch, usage="Usage: impasto batch CONTENT [CONTENT...] --style STYLE [--style STYLE...] --output FOLDER [OPTIONS]"
)
app.command(run)
app.command(serve)
app.command(submit, usage=f"Usage: impasto submit CONTENT {STYLES} [OPTIONS]")
app.command(queue)
app.command(cancel)
app.command(demo)
app.command(sweep, usage=f"Usage: impasto sweep CONTENT {STYLES} --grid NAME=VALUE,VALUE --output FOLDER [OPTIONS]")
app.command(recolor, usage="Usage: impasto recolor IMAGE CONTENT --output FILE [OPTIONS]")
app.command(rerun, usage="Usage: impasto rerun RESULT [INPUT...] --output FILE [OPTIONS]")
app.command(plot, usage="Usage: impasto plot LOG [LOG...] --output FILE [OPTIONS]")
app.command(compare, usage="Usage: impasto compare FIRST SECOND [IMAGE...] [OPTIONS]")
app.command(inspect)
app.command(presets)
app.command(weights)
app.command(info)
