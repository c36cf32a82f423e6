"""BigGAN-deep: the format of ajbrock/BigGAN-PyTorch (its BigGANdeep)."""

from intarsia_models.families.biggan.generator import build
from intarsia_models.families.biggan.reading import read_companion, reader, recogniser
from intarsia_models.generators.families import Family

NAME = "biggan-deep"

FAMILY = Family(
    name=NAME,
    paper="Brock, Donahue and Simonyan 2019, arXiv:1809.11096, appendix B",
    formats=("BigGAN-deep of ajbrock/BigGAN-PyTorch (G.pth or G_ema.pth, with D.pth)",),
    recognises=recogniser(deep=True),
    read=reader(NAME),
    build=build,
    read_companion=read_companion,
)
