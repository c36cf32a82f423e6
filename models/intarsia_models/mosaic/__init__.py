"""Mosaics from the artist's own pictures: MAGIC (Jetchev et al. 2019, arXiv:1910.07236)."""
