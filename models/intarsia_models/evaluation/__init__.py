"""Measuring what relabelling, projection and layer choice do, on a model pack."""
