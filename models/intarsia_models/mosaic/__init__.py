"""Mosaics: a picture composed of the artist's own pictures, and every one's share of it.

Source: Jetchev, Bergmann and Yildirim 2019, arXiv:1910.07236 (MAGIC).
"""
