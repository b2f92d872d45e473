"""One table of cases: every primitive and every public function, with its awkward arguments.

A case is a function of floating tensors, followed by constant ones (indices, labels, masks, class weights), at a small
shape and away from kinks. What is checked of each is in `test_cases.py` and its neighbours; that none is missing, in
`test_completeness.py`. A new primitive needs nothing but a case, in its family's part under `table/`.
"""

from __future__ import annotations

from ops.case import Case
from ops.table import elementwise, indexing, layers, linalg, reduction, shape

CASES: list[Case] = [
    *elementwise.CASES,
    *reduction.CASES,
    *shape.CASES,
    *indexing.CASES,
    *linalg.CASES,
    *layers.CASES,
]

__all__ = ["CASES", "Case"]
