"""What exceptions are told as: memory, disk, device, models, and all the rest."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import torch

from intarsia_client.errors import IntarsiaError
from intarsia_client.schema import Choice, Operation, Option
from intarsia_daemon.device import choose_device, core_count, model_budget
from intarsia_daemon.failures import failed, is_broken_device, is_disk_full, is_out_of_memory
from intarsia_models.errors import DamagedCheckpoint, TrainingDiverged, UnsuitablePicture

QUALITY = Choice(
    "quality",
    "Quality",
    "How much.",
    (Option("draft", "Draft"), Option("normal", "Normal"), Option("fine", "Fine")),
    default="normal",
)
OPERATION = Operation("paint", "Paint", "Paint it", "Paints.", (), (QUALITY,))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory."), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), "device"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "device"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk"),
        (Exception("I/O error: No space left on device (os error 28)"), "disk"),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), ""),
        (OSError(errno.ENOENT, "No such file"), ""),
        (ValueError("CUDA error in a ValueError is not one"), ""),
    ],
)
def test_each_error_is_of_one_kind(error: BaseException, kind: str) -> None:
    kinds = {
        "memory": is_out_of_memory(error),
        "disk": is_disk_full(error),
        "device": is_broken_device(error),
    }
    assert [name for name, value in kinds.items() if value] == ([kind] if kind else [])


def test_the_real_allocators_error_is_recognised_with_its_number() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    told = failed(caught.value, job="j", operation=OPERATION, parameters={"quality": "fine"})
    assert told.code == "OUT_OF_MEMORY" and told.value == 4 << 50
    assert told.action == {"label": "Use quality Normal", "set": {"quality": "normal"}}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnsuitablePicture("It is too small.", "Use a larger one."), "BAD_REQUEST"),
        (DamagedCheckpoint("It has changed."), "MODEL_LOAD_FAILED"),
        (TrainingDiverged("The loss is nan.", "Use another seed."), "OPERATION_FAILED"),
    ],
)
def test_the_models_errors_keep_their_words(error: Exception, code: str) -> None:
    told = failed(error, job="j", operation=OPERATION)
    assert (told.code, told.what) == (code, error.what)  # type: ignore[attr-defined]
    assert told.remedy == error.remedy and told.report  # type: ignore[attr-defined]


def test_a_value_that_cannot_be_sent_is_sent_as_text() -> None:
    told = failed(IntarsiaError("Wrong.", value=np.zeros(2)), re=3)
    assert told.value == "array([0., 0.])" and (told.re, told.job) == (3, "")


def test_a_report_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("hidden")
    except KeyError as error:
        told = failed(error, job="j", operation=OPERATION)
    assert told.what.startswith("Paint failed") and "hidden" not in told.what + told.remedy
    assert told.report in caplog.text and "Traceback" in caplog.text and "hidden" in caplog.text


# --- devices --------------------------------------------------------------------------------------


def test_the_processor_is_always_there() -> None:
    device = choose_device("cpu")
    assert device.name == "cpu" and str(core_count()) in device.text


@pytest.mark.parametrize("wanted", ["cuda:97", "cuda:x", "tpu"])
def test_a_device_that_is_not_there_becomes_the_processor_with_a_remark(wanted: str) -> None:
    device = choose_device(wanted)
    assert device.name == "cpu" and f"{wanted} is not available" in device.text


def test_the_settings_beat_the_machines_share() -> None:
    device = choose_device("cpu")
    assert model_budget(device, 123) == 123
    assert 0 < model_budget(device) < 1 << 45


# --- with a graphics card -------------------------------------------------------------------------

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.mark.gpu
@needs_gpu
def test_a_graphics_card_is_chosen_by_itself() -> None:
    device = choose_device("auto")
    assert device.name == "cuda" and device.text == torch.cuda.get_device_name()
    assert 0 < model_budget(device) < torch.cuda.mem_get_info()[1]


@pytest.mark.gpu
@needs_gpu
def test_the_cards_memory_that_runs_out_is_told_with_numbers() -> None:
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(1 << 42, device="cuda")
    told = failed(caught.value, job="j", operation=OPERATION, device="cuda")
    assert told.code == "OUT_OF_MEMORY" and not told.replace
    assert "graphics memory: 16384.0 GiB more were needed" in told.what
