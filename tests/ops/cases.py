"""One table of cases: every primitive and every public function, with its awkward arguments.

A case is a function of floating tensors, followed by constant ones (indices, labels, masks, class weights), at a small
shape and away from kinks. What is checked of each is in `test_cases.py` and its neighbours; that none is missing, in
`test_completeness.py`. A new primitive needs nothing but a case, in its family's part under `table/`.
"""

from __future__ import annotations

from ops.case import Case
from ops.table import (
    activation,
    arrangement,
    attention,
    convolution,
    elementwise,
    factorization,
    functions,
    gathering,
    indexing,
    layers,
    linalg,
    loss,
    normalization,
    pooling,
    recurrent,
    reduction,
    shape,
    sorting,
    vision,
)

CASES: list[Case] = [
    *elementwise.CASES,
    *functions.CASES,
    *activation.CASES,
    *reduction.CASES,
    *sorting.CASES,
    *shape.CASES,
    *arrangement.CASES,
    *indexing.CASES,
    *gathering.CASES,
    *linalg.CASES,
    *factorization.CASES,
    *layers.CASES,
    *convolution.CASES,
    *pooling.CASES,
    *vision.CASES,
    *normalization.CASES,
    *attention.CASES,
    *recurrent.CASES,
    *loss.CASES,
]

__all__ = ["CASES", "Case"]
