"""Projection: from a real picture to the latent whose picture is nearest to it."""
