"""`impasto rerun`: the run of a result once more."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli.fast import rerun_in_one_pass
from impasto.cli.image_options import ImageOutput, ResultArgument
from impasto.cli.run import execute_run
from impasto.cli.run_options import RerunOptions
from impasto.cli.streams import piped

if TYPE_CHECKING:
    from impasto.optimize.checkpoint import Checkpoint
    from impasto.optimize.run import Run


def rerun(
    result: ResultArgument,
    /,
    *inputs: Annotated[
        Path, Parameter(name="INPUT...", help="The input images, or folders that contain them.", negative=())
    ],
    output: ImageOutput,
    options: RerunOptions = RerunOptions(),  # noqa: B008
) -> int:
    """Reproduce RESULT from the recipe embedded in it; its inputs are identified by their hashes, not their names."""
    from impasto.jobs.rerun import Overrides, find_inputs, recreate_run

    with piped([result, *inputs], output, json=options.json) as (files, target):
        found = find_inputs(files[0], files[1:])
        originals = [*files, *found.files.values()]
        if found.recipe.settings.method == "fast":
            return rerun_in_one_pass(found, target, options, originals)

        def create(resume_from: "Checkpoint | None") -> "Run":
            threads = options.compute.threads_for(resume_from)
            engine = options.compute.engine_for(resume_from)
            overrides = Overrides(options.device, options.precision, threads, options.memory, engine)
            strips = None if resume_from is None else resume_from.strips
            return recreate_run(found, options.weights, overrides, strips)

        return execute_run(create, options.outputs(target), options, originals, found.recipe.settings.depth)
