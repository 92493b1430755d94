"""`Worker`: executes jobs one after the other, with one network, and style images that are read once."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from impasto import api
from impasto.arguments import check_callable
from impasto.errors import (
    ImpastoError,
    JobError,
    is_out_of_memory,
    printable,
)
from impasto.events import OnEvent, Saved
from impasto.feedforward.one_pass import fast
from impasto.feedforward.style_file import is_style_file
from impasto.feedforward.stylizer import FastNetwork, SingleStyleNetwork, network_for
from impasto.images.formats import check_suffix
from impasto.images.loading import load_recipe
from impasto.images.masks import Style, alpha_mask
from impasto.images.picture import Picture
from impasto.images.recipe import ALPHA, Recipe
from impasto.images.sources import StyleSource
from impasto.jobs import runner
from impasto.jobs.claims import claimed
from impasto.jobs.compute import Compute
from impasto.jobs.job import InputFile, Job, StyleFile
from impasto.jobs.outputs import Outputs, check_outputs, output_files
from impasto.jobs.own_files import own_checkpoint, own_recipe, replaceable
from impasto.jobs.result import JobResult, JobState
from impasto.jobs.runner import ShouldStop
from impasto.jobs.saving import save_result
from impasto.optimize import checkpoint
from impasto.optimize.checkpoint import Checkpoint
from impasto.optimize.run import Run
from impasto.optimize.style_targets import StyleTargets
from impasto.vgg import device as devices
from impasto.vgg.model import VGG19

CLAIM_SECONDS = 10.0
"""Seconds for which a job waits until a worker that was told to end has released the job's files."""
CACHED_TARGETS, TARGET_BYTES = 8, 2**28
"""Style images whose statistics a worker keeps, and the bytes that they take at most, each."""
CACHED_PICTURES = 16
"""Style images, masks and initial images that a worker keeps; content images are read for each job."""


class Worker:
    """Executes jobs one after the other.

    Args:
        compute: where and how.
        pictures: images that are in memory, by their hash (`Picture.content_hash`); their jobs' files are not read.
        vgg: the network; by default it is loaded for the first job that needs it.
    """

    def __init__(
        self, compute: Compute, pictures: Mapping[str, Picture] | None = None, vgg: VGG19 | None = None
    ) -> None:
        self.compute = compute
        self._threads = torch.get_num_threads() if compute.threads is None else compute.threads
        self._given = dict(pictures or {})
        self._picture = functools.lru_cache(CACHED_PICTURES)(self._load)
        self._targets = functools.lru_cache(CACHED_TARGETS)(self._compute_targets)
        self._fast_network = functools.lru_cache(1)(self._load_fast_network)
        self._vgg = vgg

    def run(
        self,
        job: Job,
        on_event: OnEvent | None = None,
        should_stop: ShouldStop = lambda: False,
        *,
        overwrite: bool = False,
        memory: int | None = None,
    ) -> JobResult:
        """Execute a job; it is resumed if there is a checkpoint of it, and not repeated if its result is there.

        Args:
            overwrite: replace an existing file that is not the result of this job.
            memory: bytes that the process may take for this job, also if it is resumed.

        Returns:
            The result; of a job that fails, with the reason.
        """
        check_callable(on_event)
        report = on_event or (lambda _: None)
        try:
            return self._run(job.hashed(), report, should_stop, overwrite=overwrite, memory=memory)
        except ImpastoError as error:
            return failed(job, error, str(error))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return failed(job, error, "not enough memory for this size; give a smaller one, or fewer workers")
        finally:
            if self._vgg is not None:
                devices.release_memory(self._vgg.device)

    def _run(
        self, job: Job, report: OnEvent, should_stop: ShouldStop, *, overwrite: bool, memory: int | None
    ) -> JobResult:
        outputs = output_files(job.outputs, self.compute.checkpoint_seconds)
        with claimed(outputs.paths, CLAIM_SECONDS):
            recipe, resume_from = own_recipe(job, outputs.result), own_checkpoint(job, outputs.checkpoint, report)
            if recipe is not None and recipe.is_complete:
                if resume_from is not None:  # the process was killed before it could remove it
                    checkpoint.discard(outputs.checkpoint)
                return _result(job, recipe)
            outputs = dataclasses.replace(outputs, replaceable=replaceable(outputs, recipe, overwrite=overwrite))
            check_outputs(
                outputs,
                resume_from,
                inputs=[Path(file.path) for file in job.inputs.values()],
                check_result=functools.partial(check_suffix, depth=job.settings.depth),
            )
            if job.settings.method == "fast":
                return self._run_fast(job, outputs, report)
            run = self.create_run(job, resume_from, memory)
            runner.execute(run, outputs, report, should_stop, resume_from)
            state: JobState = "done" if run.steps_done == run.steps else "stopped"
            return _result(job, load_recipe(outputs.result), state, run.seconds)

    def create_run(self, job: Job, resume_from: Checkpoint | None = None, memory: int | None = None) -> Run:
        """The run of a job that takes steps.

        Args:
            memory: bytes that the process may take; the strips are planned anew for it, also if the run is resumed.

        Raises:
            ImpastoError: see `impasto.api.create_run`; or an input that is another file than the job says.
        """
        torch.set_num_threads(self.compute.threads_for(resume_from) or self._threads)
        content = None if job.content is None else self._load(job.content)
        vgg = self._network(resume_from)
        run = api.create_run(
            content,
            self._styles(job, content, vgg),
            job.settings,
            init=None if job.init is None else self._picture(job.init),
            keep=None if job.keep is None else self._load(job.keep),
            detail=None if job.detail is None else self._load(job.detail),
            vgg=vgg,
            memory=self.compute.memory if memory is None else memory,
            strips=None if resume_from is None or memory is not None else resume_from.strips,
        )
        run.parent = job.parent
        return run

    def _run_fast(self, job: Job, outputs: Outputs, report: OnEvent) -> JobResult:
        """Execute a job of the one-pass method."""
        torch.set_num_threads(self._threads)
        network = self._fast_network(tuple(Path(style.path) for style in job.styles if is_style_file(style.path)))
        styles: list[StyleSource] = [
            Path(style.path) if isinstance(network, SingleStyleNetwork) else self._style(style, None)
            for style in job.styles
        ]
        content = self._load(job.content) if job.content is not None else None
        memory = self.compute.memory
        began = time.perf_counter()
        picture = fast(content, styles, job.settings, network=network, memory=memory, reuse=True, on_event=report)  # type: ignore[arg-type]
        picture = dataclasses.replace(picture, recipe={**(picture.recipe or {}), "parent": job.parent})
        save_result(picture.save, outputs.result, overwrite=outputs.result in outputs.replaceable)
        report(Saved(printable(outputs.result)))
        recipe = Recipe.parse(dict(picture.recipe or {}), "the result")
        return _result(job, recipe, seconds=time.perf_counter() - began)

    def _styles(self, job: Job, content: Picture | None, vgg: VGG19) -> Sequence[Style]:
        """The style images of a job, with what other jobs have computed of them."""
        if job.styles and vgg is self._vgg and all(style.mask is None for style in job.styles):
            return self._targets(job.styles)
        return [self._style(style, content) for style in job.styles]

    def _compute_targets(self, styles: tuple[StyleFile, ...]) -> StyleTargets:
        return StyleTargets([self._style(style, None) for style in styles], vgg=self._vgg, memory=TARGET_BYTES)

    def _style(self, style: StyleFile, content: Picture | None) -> Style:
        mask: Picture | None = None
        if isinstance(style.mask, InputFile):
            mask = self._picture(style.mask)
        elif style.mask == ALPHA and content is not None:
            mask = alpha_mask(content)
        return Style(
            self._picture(InputFile(path=style.path, sha256=style.sha256, name=style.name)), style.weight, mask
        )

    def _load(self, file: InputFile) -> Picture:
        """The image in a file.

        Raises:
            PictureError: it cannot be read as an image.
            JobError: the file has changed since the job was created.
        """
        if file.sha256 in self._given:
            return self._given[file.sha256]
        picture = self.compute.loader()(Path(file.path), name=file.name)
        file.check(picture.sha256)
        return picture

    def _load_fast_network(self, networks: tuple[Path, ...]) -> FastNetwork | SingleStyleNetwork:
        return network_for(networks, self.compute.device, self.compute.precision)

    def _network(self, resume_from: Checkpoint | None) -> VGG19:
        """The network: loaded once; what `compute` leaves open is as in the run that is resumed."""
        if self._vgg is None:
            self._vgg = self.compute.load_network(resume_from)
        if resume_from is None:
            return self._vgg
        if self.compute.precision == "auto" and resume_from.precision != self._vgg.precision:
            return self.compute.load_network(resume_from)
        return self._vgg.with_ncnn(resume_from.ncnn) if self.compute.engine == "auto" else self._vgg


def _result(job: Job, recipe: Recipe, state: JobState = "done", seconds: float | None = None) -> JobResult:
    return JobResult(job.id, job.outputs.result, state, recipe.steps_done, seconds, recipe.loss)


def failed(job: Job, error: Exception, message: str) -> JobResult:
    """The result of a job that raised `error`; its id is "" if it is not known."""
    job_id = ""
    with contextlib.suppress(JobError):  # an input that cannot be read has no hash
        job_id = job.hashed().id
    return JobResult(job_id, job.outputs.result, "failed", message=message, error=type(error).__name__)
