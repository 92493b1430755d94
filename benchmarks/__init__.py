"""How fast impasto is, how much memory it needs, and how soon it reaches a given loss: `python -m benchmarks`.

When asked for, also how speed and memory go with the size, and how well a small picture foretells a large one.

Everything is measured on the CPU, against the same network and the same loss written in plain torch with autograd, and
against the time that its convolutions alone would take.
"""
