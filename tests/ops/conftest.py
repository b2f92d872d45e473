"""Which tests of the table are left to `pytest -m slow`."""

from __future__ import annotations

from typing import Any

import pytest

LONG = {
    "test_derivatives_of_vmap",
    "test_every_nesting_gives_the_same",
    "test_expanded_inputs",
    "test_gradient_of_one_input_or_output_is_part_of_the_whole",
    "test_gradients_through_vmap_reach_each_row",
    "test_kernels_give_what_the_array_code_gives",
    "test_layouts",
    "test_leaves_of_two_dtypes",
    "test_no_examples",
    "test_one_tangent_at_a_time_adds_up",
    "test_recording_outside_of_a_transform",
    "test_transforms_on_the_stand_in",
    "test_vmap_of_derivatives",
    "test_vmap_of_vmap",
}
"""What holds of compositions if it holds of the primitives they are made of."""


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        callspec = getattr(item, "callspec", None)
        case = callspec.params.get("case") if callspec else None
        if getattr(case, "light", False) and item.originalname in LONG:
            item.add_marker(pytest.mark.slow)
