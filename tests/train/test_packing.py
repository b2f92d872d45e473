"""Trees of values become arrays and JSON, and the same trees again."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter, OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

import gradflow as gf
from gradflow.train.checkpoint import load_checkpoint, save_checkpoint
from gradflow.train.packing import DEEPEST, pack, unpack
from gradflow.train.tensorfile import NAMES


def dtype(name: str) -> np.dtype:
    return gf.zeros(0, dtype=name).numpy().dtype  # bfloat16 needs ml_dtypes


def same(a: Any, b: Any) -> bool:
    """Whether two trees are of the same types and bits, in the same order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, gf.Tensor):
        return same(a.numpy(), b.numpy())
    if isinstance(a, (np.ndarray, np.generic)):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return struct.pack("d", a) == struct.pack("d", b) if isinstance(a, float) else a == b


def there_and_back(tree: Any) -> Any:
    arrays, plain = pack(tree)
    return unpack(arrays, json.loads(json.dumps(plain, allow_nan=False)))


@st.composite
def arrays(draw: Any) -> Any:
    """Arrays of all dtypes and any bits, in all layouts; as arrays, scalars and Tensors."""
    kind = dtype(draw(st.sampled_from(sorted(NAMES))))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    size = math.prod(shape) * kind.itemsize
    data = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), np.uint8)
    array = (data & 1 if kind.kind == "b" else data).view(kind).reshape(shape).copy()
    layout = draw(
        st.sampled_from([lambda a: a, np.asfortranarray, lambda a: a[..., ::-1] if a.ndim else a, np.transpose])
    )
    return draw(st.sampled_from([np.asarray, gf.as_tensor, lambda a: a.flat[0] if a.size else a]))(layout(array))


texts = st.text(st.characters() | st.sampled_from("$.~\ud800\udc00\0é"), max_size=5)
keys = texts | st.integers()
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts | arrays()
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(keys, st.integers(), max_size=4).map(Counter)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(trees)
def test_any_tree_comes_back_the_same(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "tree.safetensors"
    save_checkpoint(path, tree)
    assert same(load_checkpoint(path)[0], tree)
    assert {name for name, _ in safetensors.deserialize(path.read_bytes())} == set(pack(tree)[0])


@pytest.mark.parametrize(
    "tree",
    [
        {"lr": -0.0, "inf": math.inf, "minus": -math.inf, "tiny": 5e-324},
        struct.unpack(">d", bytes.fromhex("7ff80000deadbeef"))[0],
        [2**63 - 1, 2**64, -(2**63) - 1, 10**5000, True, 1, 1.0],
        {0: "a", "0": "b", -1: ["c"]},
        {"$tensor": "no tensor", "$x": 1},
        {"__metadata__": np.ones(1), "a.b": np.full(1, 2), "a": {"b": np.full(1, 3), "b~2": np.full(1, 4)}},
        "\ud800\udc00",  # two characters, which JSON would make one
        np.random.default_rng((3, 4)).bit_generator.state,
        np.random.RandomState(5).get_state(legacy=False),
        (),
        [[], {}, Counter(), (None,)],
        gf.tensor(3.5),
    ],
)
def test_trees_that_need_care(tree: Any) -> None:
    assert same(there_and_back(tree), tree)


def test_state_of_an_optimizer_and_a_schedule() -> None:
    weight = gf.ones(3, requires_grad=True)
    optimizer = gf.optim.Adam([weight], betas=(0.8, 0.9))
    schedule = gf.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
    (weight * 2).sum().backward()
    optimizer.step()
    schedule.step()
    state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "weight": weight}
    again = there_and_back(state)
    assert same(again["optimizer"], state["optimizer"]) and same(again["schedule"], state["schedule"])
    assert again["weight"].tolist() == weight.tolist() and not again["weight"].requires_grad


def test_memory_is_shared_not_copied() -> None:
    array, tensor = np.zeros(3), gf.zeros(3)
    packed, plain = pack([array, tensor])
    array[0], packed["1"][0] = 1, 2
    assert packed["0"][0] == 1 and tensor[0].item() == 2
    again = unpack(packed, plain)
    packed["0"][1] = 3
    assert again[0][1] == 3


def test_tensors_of_another_device_come_back_on_the_cpu() -> None:
    moved = gf.arange(6, dtype=gf.float32, device="emulated").reshape(2, 3).T
    again = there_and_back({"x": moved})["x"]
    assert again.device.type == "cpu" and again.tolist() == moved.tolist()


def test_a_foreign_byte_order_becomes_the_machine_s() -> None:
    arrays, _ = pack({"x": np.array([1, 2], ">i4")})
    assert arrays["x"].tolist() == [1, 2]


Pair = namedtuple("Pair", "a b")
itself: list[Any] = []
itself.append(itself)


@pytest.mark.parametrize(
    "tree, message",
    [
        ({"a": [0, {"hook": print}]}, r"a\.1\.hook, which is of type builtin_function_or_method; make it"),
        ({"a": {1, 2}}, "a, which is of type set"),
        (b"x", "state, which is of type bytes"),
        ({"a": {1.5: 0}}, r"a: its key 1\.5 is of type float; use texts or integers"),
        ({True: 0}, "its key True is of type bool"),
        ({"a": 1j}, "a, which is of type complex"),
        ({"a": np.zeros(2, complex)}, "a, which is an array of complex128"),
        ({"a": np.array(["x"])}, "a, which is an array of <U1"),
        ({"a": np.array([None])}, "a, which is an array of object"),
        ({"a": np.str_("x")}, "a, which is of type str_"),
        ({"a": np.ma.masked_array([1], [True])}, "a, which is of type MaskedArray"),
        (OrderedDict(a=1), "state, which is of type OrderedDict"),
        ([Pair(1, 2)], "0, which is of type Pair"),
        (itself, "more than 100 levels deep"),
    ],
)
def test_what_cannot_be_packed_is_named(tree: Any, message: str) -> None:
    with pytest.raises(TypeError, match=rf"\[checkpoint\] cannot save .*{message}"):
        pack(tree)


def test_the_deepest_tree() -> None:
    tree: Any = 1
    for level in range(DEEPEST):
        tree = [[tree], (tree,), {"x": tree}, {1: tree}][level % 4]
    assert same(there_and_back(tree), tree)
    with pytest.raises(TypeError, match="levels deep"):
        pack([tree])


@pytest.mark.parametrize(
    "plain",
    [
        {"$tensor": "missing"},
        {"$tensor": []},
        {"$nothing": 1},
        {"$tuple": 5},
        {"$int": "xyz"},
        {"$float": "00"},
        {"$dict": [[1]]},
        {"$dict": [[[], 1]]},
        {"$tuple": [], "more": 1},
    ],
)
def test_what_no_tree_can_have_made(plain: Any) -> None:
    with pytest.raises(ValueError, match=r"\[checkpoint\] cannot make out \$"):
        unpack({}, plain)
