"""The loss: pure functions, style statistics, targets, the objective, weight conventions."""
