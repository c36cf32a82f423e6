"""SNGAN-projection: generator, discriminator, encoder and auxiliary networks."""
