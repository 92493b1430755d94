"""How fast impasto is, how much memory it needs, and how soon it reaches a given loss: `python -m benchmarks`.

Everything is measured on the CPU, against the same network and the same loss written in plain torch with autograd, and
against the time that its convolutions alone would take.
"""
