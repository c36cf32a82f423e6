"""Generative models and the algorithms on them, in PyTorch; knows nothing of jobs, wires or
editors."""
