"""Latent composition: a rough collage becomes a coherent picture through a masked regressor.

Source: Chai et al. 2021, arXiv:2103.10426.
"""
