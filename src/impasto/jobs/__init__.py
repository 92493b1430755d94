"""Runs and trainings that write files: outputs, runner, log, timelapse; rerun; distill, info and installed weights."""
