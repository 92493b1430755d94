"""Runs that write files: runner, log, timelapse, rerun."""
