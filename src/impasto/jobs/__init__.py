"""Runs and trainings that write files: outputs, runner, log, timelapse; rerun; distill, the library's call."""
