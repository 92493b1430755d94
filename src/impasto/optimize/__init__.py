"""The iterative method: optimizers, the optimization at one scale, memory plan, run, checkpoint."""
