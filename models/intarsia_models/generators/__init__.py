"""Generators of every family behind one interface: sampling, relabelling, transplanting, tracing."""
