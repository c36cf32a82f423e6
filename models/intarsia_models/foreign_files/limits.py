"""How much a foreign file may ask of the machine before it is refused."""

from intarsia_models.errors import UnreadableModel

FILE_BYTES = 8 << 30
"""Largest file or unpacked archive."""
PICKLE_STEPS = 8_000_000
"""Instructions of one pickle; a StyleGAN2 pickle at 1024 pixels has about a hundred thousand."""
PLAIN_NODES = 2_000_000
"""Values of the whole file, counted where they are used, so that shared parts cannot multiply."""
DEPTH = 60
"""Containers inside containers; a StyleGAN2 pickle has about twenty."""
TENSORS = 200_000
INTEGER_BITS = 128
_SMALL = 64 << 20
_COMPRESSION = 40  # weights hardly compress; zeros in between do


def call_allowance(size: int) -> int:
    """How many values the calls in a pickle of so many bytes may be given altogether."""
    return 4096 + 16 * size


def check_unpacked(name: str, unpacked: int, packed: int) -> None:
    """Refuse an archive that unpacks to far more than a file of weights would.

    Args:
        name: How a message calls the file.
        unpacked: Bytes it says it unpacks to.
        packed: Bytes it has on disk.

    Raises:
        UnreadableModel: It is too large, or looks like a zip bomb.
    """
    if unpacked > FILE_BYTES or unpacked > max(_SMALL, _COMPRESSION * packed):
        raise UnreadableModel(
            f"{name} would unpack from {packed:,} to {unpacked:,} bytes, which no file of weights "
            "does; it is refused."
        )


def check_tensor_bytes(total: int, available: int) -> None:
    """Refuse tensors that are far larger than the bytes behind them.

    Args:
        total: Bytes of all tensors met so far.
        available: Bytes of the file.

    Raises:
        UnreadableModel: The tensors share their bytes in a way no saved network does.
    """
    if total > _SMALL + 4 * available:
        raise UnreadableModel(
            f"Its tensors claim {total:,} bytes where the file has {available:,}; it is refused."
        )
