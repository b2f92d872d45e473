"""Copies, hashing, dtypes' limits and what a tensor says of its memory."""

import copy
import pickle

import numpy as np
import pytest

import gradflow as gf


def test_copies_of_leaves():
    x = gf.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    deep, shallow = copy.deepcopy(x), copy.copy(x)
    with gf.no_grad():
        x.zero_()
    assert deep.tolist() == [1, 1] and deep.grad.tolist() == [3, 3] and deep.grad is not x.grad and deep.requires_grad
    assert shallow.tolist() == [0, 0] and shallow is not x and shallow.is_leaf and shallow.requires_grad
    with pytest.raises(RuntimeError, match=r"\[deepcopy\] only leaves"):
        copy.deepcopy(x * 2)
    twice = copy.deepcopy([x, x])
    assert twice[0] is twice[1]
    assert type(copy.deepcopy(gf.nn.Parameter(x))) is gf.nn.Parameter
    with pytest.raises(TypeError, match="safetensors"):
        pickle.dumps(x)


def test_tensors_are_told_apart_by_identity():
    a, b = gf.ones(2), gf.ones(2)
    assert len({a, b, a}) == 2 and {a: 1, b: 2}[b] == 2 and hash(a) != hash(b)


def test_limits():
    info = gf.finfo(gf.float32)
    assert (info.bits, info.eps, info.tiny) == (32, 2.0**-23, 2.0**-126) and info.max == float(
        np.finfo("f4").max
    ) == -info.min
    assert gf.finfo().dtype == gf.float32 and gf.iinfo(gf.int8).min == -128 and gf.iinfo("uint8").max == 255
    assert (
        gf.finfo(gf.float16) == gf.finfo("float16")
        and repr(gf.iinfo(gf.int8)) == "iinfo(min=-128, max=127, dtype=int8)"
    )
    pytest.importorskip("ml_dtypes")
    assert gf.finfo(gf.bfloat16).eps == 2.0**-7 and gf.finfo(gf.bfloat16).resolution == 0.01
    with pytest.raises(TypeError, match=r"\[finfo\] expected a floating dtype, got int64; use gf.iinfo"):
        gf.finfo(gf.int64)
    assert (gf.half, gf.float, gf.double, gf.short, gf.int, gf.long) == (
        gf.float16,
        gf.float32,
        gf.float64,
        gf.int16,
        gf.int32,
        gf.int64,
    )


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "emulated"])
def test_memory(device, fake_cuda):
    x = gf.ones(2, 3, device=device)
    assert (x.itemsize, x.element_size(), x.nbytes, x.stride(), x.stride(0)) == (4, 4, 24, (3, 1), 3)
    assert x.data_ptr() == x.detach().data_ptr() != gf.ones(2, 3, device=device).data_ptr()
    assert (x.storage_offset(), x[1].storage_offset(), x[1, 2:].detach().storage_offset()) == (0, 3, 5)
    y = gf.ones(2, 3, 4, 5, device=device).contiguous(memory_format=gf.channels_last)
    assert y.is_contiguous(memory_format=gf.channels_last) and not y.is_contiguous() and y.contiguous().is_contiguous()
    assert (
        x.type(gf.float64).dtype == gf.float64
        and x.type() == gf.float32
        and x.to(x) is x
        and x.to(device, gf.float32, True) is x
    )


def test_strides_leave_out_what_vmap_hides():
    assert gf.func.vmap(lambda row: row * row.stride(0))(gf.ones(3, 2)).tolist() == [[1, 1]] * 3


def test_the_default_dtype():
    gf.set_default_dtype(gf.float64)
    try:
        assert (
            gf.ones(1).dtype
            == gf.tensor([1.5]).dtype
            == gf.rand(1).dtype
            == gf.linspace(0, 1, 2).dtype
            == gf.get_default_dtype()
            == gf.float64
        )
    finally:
        gf.set_default_dtype(gf.float32)
    with pytest.raises(TypeError, match=r"\[set_default_dtype\] expected a floating dtype, got int64"):
        gf.set_default_dtype(gf.int64)
