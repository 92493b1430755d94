"""The one-pass method: network, inference at any size, weights, style files, training."""
