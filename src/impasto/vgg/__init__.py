"""The network: weights, model, hand-written forward and backward passes, device."""
