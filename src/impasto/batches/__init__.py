"""Batches: many jobs, planned from lists of images and a grid of settings, and run by an executor."""
