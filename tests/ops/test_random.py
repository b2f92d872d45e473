"""The generator: a stream that can be named, sought and made again, with the same bits on every device."""

import numpy as np
import pytest

import gradflow as gf
from gradflow.nn import functional as F

DRAWS = {
    "rand": lambda **k: gf.rand(7, 3, **k),
    "rand64": lambda **k: gf.rand(7, dtype=gf.float64, **k),
    "randn": lambda **k: gf.randn(5, 2, **k),
    "randint": lambda **k: gf.randint(-3, 9, (11,), **k),
    "randperm": lambda **k: gf.randperm(13, **k),
}


def test_uniforms_are_the_top_bits_of_philox():
    words = np.random.Philox(key=5, counter=2).random_raw(4)
    generator = gf.Generator(5)
    generator.seek((5, 2))
    expected = (words >> 11) * 2.0**-53
    np.testing.assert_array_equal(gf.rand(4, dtype=gf.float64, generator=generator).numpy(), expected)
    generator.seek((5, 2))
    halves = words.view("u4")[:6]
    drawn = gf.rand(6, generator=generator).numpy()
    np.testing.assert_array_equal(drawn, (halves >> 8) * np.float32(2.0**-24))


@pytest.mark.parametrize("name", DRAWS)
def test_a_stream_is_sought_and_repeated(name):
    draw, generator = DRAWS[name], gf.Generator(3)
    first = draw(generator=generator).numpy()
    place = generator.state
    second, third = draw(generator=generator).numpy(), draw(generator=generator).numpy()
    assert not np.array_equal(first, second)
    generator.seek(place)
    np.testing.assert_array_equal(draw(generator=generator).numpy(), second)
    np.testing.assert_array_equal(draw(generator=generator).numpy(), third)
    gf.manual_seed(3)
    np.testing.assert_array_equal(draw().numpy(), first)


@pytest.mark.parametrize("name", DRAWS)
def test_the_same_seed_gives_the_same_numbers_on_every_device(name, fake_cuda):
    here = DRAWS[name](generator=gf.Generator(11))
    there = DRAWS[name](generator=gf.Generator(11), device="cuda:1")
    assert str(there.device) == "cuda:1" and there.dtype == here.dtype
    np.testing.assert_array_equal(there.numpy(), here.numpy())


def test_distributions_and_ranges():
    generator = gf.Generator(0)
    normal = gf.randn(200_000, dtype=gf.float64, generator=generator).numpy()
    assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1) < 0.01 and abs((normal**3).mean()) < 0.03
    whole = gf.randint(-2, 3, (10_000,), generator=generator).numpy()
    assert set(whole) == {-2, -1, 0, 1, 2} and abs(np.mean(whole)) < 0.1
    assert sorted(gf.randperm(100, generator=generator).tolist()) == list(range(100))
    assert gf.rand(0, 3).shape == (0, 3) and gf.randn(()).shape == ()


# -- on the device itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWS)
def test_kernels_draw_the_same_numbers(name):
    gf.kernels.reset()
    here = DRAWS[name](generator=gf.Generator(11))
    there = DRAWS[name](generator=gf.Generator(11), device="emulated")
    assert str(there.device) == "emulated" and there.dtype == here.dtype
    np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=0 if name != "randn" else 3e-7)
    assert sum(gf.kernels.launches().values()) == 1
    assert gf.kernels.fallbacks() == {}


def test_floating_draws_refuse_integers():
    with pytest.raises(TypeError, match=r"\[rand\] makes floating numbers, got dtype=int64"):
        gf.rand(3, dtype=gf.int64)


# -- dropout -----------------------------------------------------------------------------------------------------------


def dropped(shape, p=0.4, seed=5, dtype=None, device=None, layout=None):
    """What dropout keeps of ones."""
    x = (
        np.ones(shape, "f4")
        if layout is None
        else np.ones([shape[a] for a in layout], "f4").transpose(np.argsort(layout))
    )
    x = gf.tensor(x, dtype=dtype, device=device)
    return F.dropout(x, p, generator=gf.Generator(seed)).numpy().astype("f8") > 0


def test_the_mask_depends_on_the_key_and_the_place_alone():
    pytest.importorskip("ml_dtypes")
    expected = dropped((3, 4, 5, 6))
    assert 0.5 < expected.mean() < 0.7
    for device in ("cpu", "emulated"):
        for dtype in ("float64", "float16", "bfloat16"):
            assert np.array_equal(dropped((3, 4, 5, 6), dtype=dtype, device=device), expected)
        for layout in ((0, 2, 3, 1), (3, 2, 1, 0)):
            assert np.array_equal(dropped((3, 4, 5, 6), device=device, layout=layout), expected)
        assert np.array_equal(dropped((360,), device=device), expected.ravel())
    assert not np.array_equal(dropped((3, 4, 5, 6), seed=6), expected)


def test_successive_masks_differ_and_reserve_their_words():
    generator, x = gf.Generator(1), gf.ones(50)
    first, second = F.dropout(x, 0.5, generator=generator).numpy(), F.dropout(x, 0.5, generator=generator).numpy()
    assert not np.array_equal(first, second)
    assert generator.state == (1, 14)  # 25 words each, in blocks of four


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_dropped_elements_are_zero_whatever_they_were(device):
    bad = np.resize([np.nan, np.inf, -np.inf, 1.0], 64).astype("f4")
    x = gf.tensor(bad, device=device, requires_grad=True)
    y = F.dropout(x, 0.5, generator=gf.Generator(2))
    y.backward(gf.tensor(bad[::-1].copy(), device=device))
    kept = dropped((64,), 0.5, seed=2)
    np.testing.assert_array_equal(y.numpy(), np.where(kept, bad * 2, 0))
    np.testing.assert_array_equal(x.grad.numpy(), np.where(kept, bad[::-1] * 2, 0))
    assert not F.dropout(x, 1.0).numpy().any()
    assert F.dropout(x, 0.0) is x


def test_a_share_of_p_is_dropped():
    for p in (0.01, 0.5, 0.9):
        kept = dropped((200_000,), p)
        assert abs(kept.mean() - (1 - p)) < 4 * (p * (1 - p) / 200_000) ** 0.5
    x = F.dropout(gf.ones(200_000), 0.3, generator=gf.Generator(0)).numpy()
    assert abs(x.mean() - 1) < 0.01


@pytest.mark.parametrize("device", ["cpu", "emulated"])
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_gradients_of_examples_see_the_masks_of_the_forward_pass(device, randomness):
    x = gf.tensor(np.arange(1.0, 25).reshape(4, 6), device=device)

    def loss(row):
        y = F.dropout(row, 0.5, generator=generator)
        return (y * y).sum(), y

    generator = gf.Generator(8)
    grads, y = gf.func.vmap(gf.func.grad(loss, has_aux=True), randomness=randomness)(x)
    np.testing.assert_allclose(grads.numpy(), 4 * y.numpy())  # 2 y dy/dx, where dy/dx is 2
    masks = y.numpy() > 0
    assert (masks == masks[0]).all() == (randomness == "same")
    generator = gf.Generator(8)
    with pytest.raises(RuntimeError, match=r"\[dropout\] vmap met a random operation"):
        gf.func.vmap(loss)(x)


def test_no_mask_is_kept_where_it_can_be_made_again():
    x = gf.ones(1000, device="emulated", requires_grad=True)
    gf.kernels.reset()
    y = F.dropout(x, 0.5)
    assert y.edge.residual is None and not any(a is not None for a in y.edge.args)
    y.sum().backward()
    assert gf.kernels.launches()["dropout"] == 2
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
