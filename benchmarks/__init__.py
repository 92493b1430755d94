"""Benchmarks of impasto, run with `python -m benchmarks`: speed, memory, and time to a given loss.

On request also speed and memory over image size, the similarity of small and large results, and other methods.

Everything is measured on the CPU against the same network and loss in plain torch with autograd, and against the time
of the convolutions alone. `python -m benchmarks.gpu` checks and measures a machine with an NVIDIA GPU.
"""
