"""Whole pictures from a few of their parts, without being told where the parts go.

Source: Lee et al. 2018, "Unsupervised Holistic Image Generation from Key Local Patches"
(arXiv:1703.10730), the supplement's tables and sections. What the supplement leaves open follows
the public code of one of its authors; every such place says so.
"""
