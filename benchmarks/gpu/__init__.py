"""`python -m benchmarks.gpu` checks and measures a machine with an NVIDIA GPU, in less than four minutes.

Prints one Markdown table, and writes results.json and images to the folder in the environment variable OUT, to --out,
or to a temporary folder that it names. Rows are sorted by importance. A row that fails says why, and the next one is
measured; each section has a limit of time. Exit status: 0, 1 if a row failed or was left out, 2 if there is no GPU.

`--device cpu --size 64` runs the same code without a GPU, as a test of this package.
"""
