"""Generators of every family behind one interface: sample, relabel, transplant, trace."""
