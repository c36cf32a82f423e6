"""What an operation returns is checked before anything of it is sent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from intarsia_client.errors import InvalidRequest
from intarsia_client.wire import MAX_BUFFERS
from intarsia_daemon.outcome_checks import check_outcome
from intarsia_daemon.pixels import Layer, Outcome

COLOURS, SHOWN = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3), np.uint8)
LOWER = Layer("Lower", COLOURS, 5, 7, group="Made")
UPPER = Layer("Upper", COLOURS, 5, 7, group="Made")
UPPERS = Layer("Upper", SHOWN, 5, 7, mask_of=1)


def test_layers_with_masks_in_groups_pass() -> None:
    alone = Layer("Alone", COLOURS)
    lowers = replace(UPPERS, array=SHOWN.astype(np.uint16), mask_of=0)
    check_outcome("it", Outcome([LOWER, UPPER, UPPERS, lowers, alone]))
    check_outcome("it", Outcome([alone, replace(LOWER, group="Other"), replace(UPPER, group="")]))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ([LOWER, UPPER, replace(UPPERS, mask_of=2)], "not of an earlier one"),
        ([LOWER, UPPER, replace(UPPERS, mask_of=-1)], "not of an earlier one"),
        ([UPPERS, LOWER, UPPER], "not of an earlier one"),
        ([LOWER, UPPER, replace(UPPERS, x=6)], "a mask lies at"),
        ([LOWER, UPPER, replace(UPPERS, array=SHOWN[:1])], "a mask lies at"),
        ([LOWER, UPPER, replace(UPPERS, array=COLOURS)], "one channel"),
        ([LOWER, UPPER, UPPERS, replace(UPPERS, mask_of=2)], "one channel"),
        ([LOWER, UPPER, UPPERS, UPPERS], "two masks"),
        ([LOWER, replace(UPPER, group=""), UPPER], "do not follow one another"),
        ([LOWER, replace(UPPER, group="Other"), UPPER], "do not follow one another"),
    ],
)
def test_a_mask_or_a_group_that_nobody_could_show_is_a_fault(wrong: list[Layer], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        check_outcome("it", Outcome(wrong))


def test_a_frame_is_no_mask() -> None:
    layers = [replace(LOWER, group="", amount=1.0), replace(LOWER, group="")]
    frame = replace(layers[0], amount=0.5, frame_of=0, mask_of=1)
    with pytest.raises(TypeError, match="frame cannot be a mask"):
        check_outcome("it", Outcome(layers, frames=[frame]))


def test_more_layers_than_a_message_carries_are_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidRequest, match=f"{MAX_BUFFERS} can be sent"):
        check_outcome("it", Outcome([Layer("One", COLOURS)] * (MAX_BUFFERS + 1)))
