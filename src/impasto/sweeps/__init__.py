"""Grids of settings, the runs of a sweep, their results; plots and comparisons."""
