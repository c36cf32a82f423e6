"""Putting one picture's area into another: seamless (Poisson), soft, hard.

* `poisson_blend` keeps the source's detail and takes its colours from the target around the area:
  no edge shows, but colours inside shift.
* `feather_blend` keeps the source's colours and fades them out towards the edge of the area.
* `hard_blend` keeps the source's colours up to a sharp edge.
* `alpha_over` mixes by the edit mask as it is.
"""

from intarsia_models.blending.compositing import alpha_over, feather_blend, hard_blend
from intarsia_models.blending.poisson import poisson_blend

__all__ = ["alpha_over", "feather_blend", "hard_blend", "poisson_blend"]
