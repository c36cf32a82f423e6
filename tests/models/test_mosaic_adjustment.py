"""What is changed of a mosaic's weights without learning."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from intarsia_models.mosaic.adjustment import Adjustment, balanced, smoothed


def _case(count: int = 4, size: int = 24) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(1, count, size, size, generator=source)
    templates = torch.rand(1, count, 3, size, size, generator=source) * 2 - 1
    content = torch.rand(1, 3, size, size, generator=source) * 2 - 1
    return logits, templates, content


def _entropy(logits: torch.Tensor) -> float:
    weights = logits.softmax(1)
    return float(-(weights * weights.log()).sum(1).mean())


def _variation(logits: torch.Tensor) -> float:
    weights = logits.softmax(1)
    return float(weights.diff(dim=-1).abs().mean() + weights.diff(dim=-2).abs().mean())


def test_the_default_changes_nothing() -> None:
    logits, templates, content = _case()
    assert Adjustment()(logits, templates, content) is logits
    assert Adjustment().reach == 0


def test_sharpness_is_a_factor_of_the_logits() -> None:
    logits, templates, content = _case()
    harder = Adjustment(sharpness=3.0)(logits, templates, content)
    torch.testing.assert_close(harder, logits * 3)
    assert _entropy(harder) < 0.7 * _entropy(logits)


def test_smoothing_makes_larger_segments() -> None:
    logits, templates, content = _case()
    found = [
        _variation(Adjustment(smoothing=s, sharpness=4)(logits, templates, content))
        for s in (0.0, 1.0, 2.0)
    ]
    assert found[0] > 1.5 * found[1] > 2 * found[2]


def test_fidelity_prefers_templates_of_the_contents_brightness() -> None:
    logits, templates, content = _case()
    made = Adjustment(fidelity=50.0)(logits, templates, content).softmax(1)
    grey = templates.mean(2)
    before = (logits.softmax(1) * grey).sum(1) - content.mean(1)
    after = (made * grey).sum(1) - content.mean(1)
    assert (
        smoothed(after[:, None], 1.0).abs().mean()
        < 0.7 * smoothed(before[:, None], 1.0).abs().mean()
    )


def test_fidelity_without_a_content_does_nothing() -> None:
    logits, templates, _ = _case()
    torch.testing.assert_close(Adjustment(fidelity=5.0)(logits, templates, None), logits)


def test_permuting_templates_permutes_what_comes_out() -> None:
    logits, templates, content = _case()
    order = [2, 0, 3, 1]
    some = Adjustment(2.0, 1.5, 3.0, bias=(0.1, 0.2, 0.3, 0.4))
    moved = Adjustment(2.0, 1.5, 3.0, bias=tuple(some.bias[i] for i in order))
    torch.testing.assert_close(
        moved(logits[:, order], templates[:, order], content),
        some(logits, templates, content)[:, order],
    )


def test_chunks_of_templates_are_changed_as_all_together() -> None:
    logits, templates, content = _case()
    some = Adjustment(2.0, 1.5, 3.0, bias=(0.1, 0.2, 0.3, 0.4))
    parts = [some(logits[:, i : i + 2], templates[:, i : i + 2], content, first=i) for i in (0, 2)]
    torch.testing.assert_close(torch.cat(parts, 1), some(logits, templates, content))


def test_a_tile_with_its_halo_is_changed_as_the_whole() -> None:
    logits, templates, content = _case(size=72)
    some = Adjustment(2.0, 1.5, 3.0)
    whole = some(logits, templates, content)
    low, high, halo = 24, 40, some.reach
    part = slice(low - halo, high + halo)
    tile = some(logits[..., part, :], templates[..., part, :], content[..., part, :])
    torch.testing.assert_close(
        tile[..., halo:-halo, :], whole[..., low:high, :], rtol=1e-5, atol=1e-5
    )


def test_absent_templates_stay_absent() -> None:
    logits, templates, content = _case()
    logits[:, 1] = -torch.inf
    made = Adjustment(2.0, 1.5, 3.0)(logits, templates, content)
    assert torch.isneginf(made[:, 1]).all() and torch.isfinite(made[:, [0, 2, 3]]).all()


@pytest.mark.parametrize(("amount", "most"), [(0.0, 0.9), (0.5, 0.75), (1.0, 0.26)])
def test_variety_brings_the_shares_closer(amount: float, most: float) -> None:
    logits, templates, content = _case()
    logits[:, 0] += 5.0
    some = balanced(Adjustment(sharpness=1.5), logits, templates, content, amount)
    shares = some(logits, templates, content).softmax(1).mean((0, 2, 3))
    assert most - 0.2 < float(shares.max()) < most + 0.1


def test_variety_works_on_hard_cuts() -> None:
    logits, templates, content = _case()
    logits = smoothed(logits, 2.0) * 500
    logits[:, 0] += 150.0
    some = balanced(Adjustment(), logits, templates, content, 1.0)
    before = logits.softmax(1).mean((0, 2, 3)).max()
    after = some(logits, templates, content).softmax(1).mean((0, 2, 3)).max()
    assert before > 0.6 and after < 0.35


@pytest.mark.parametrize(
    "wrong",
    [{"sharpness": 0.0}, {"sharpness": float("inf")}, {"smoothing": -1.0}, {"fidelity": -1.0}],
)
def test_values_without_a_meaning_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Adjustment(**wrong)


def test_a_missing_bias_is_refused() -> None:
    logits, templates, content = _case()
    with pytest.raises(ValueError, match="biases"):
        Adjustment(bias=(1.0,))(logits, templates, content)
