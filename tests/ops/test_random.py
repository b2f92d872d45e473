"""The generator: a stream that can be named, sought and made again, with the same bits on every device."""

import copy
import pickle

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


@pytest.mark.parametrize("count", [50_003, 100_000])
def test_many_numbers_are_made_in_parts(count):
    generator, pairs = gf.Generator(5), -(-count // 2)
    generator.seek((5, 2))
    words = np.random.Philox(key=5, counter=2).random_raw(2 * pairs)
    u, v = ((words >> 11) * 2.0**-53).reshape(2, pairs)
    radius, angle = np.sqrt(-2.0 * np.log1p(-u)), 2.0 * np.pi * v
    expected = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
    np.testing.assert_allclose(gf.randn(count, dtype=gf.float64, generator=generator).numpy(), expected, rtol=1e-12)
    for dtype, numbers in ((gf.float32, (words.view("u4") >> 8) * 2.0**-24), (gf.float64, (words >> 11) * 2.0**-53)):
        generator.seek((5, 2))
        np.testing.assert_array_equal(gf.rand(count, dtype=dtype, generator=generator).numpy(), numbers[:count])


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


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_integers_of_the_widest_range(device):
    low, high = -(2**63), 2**63 - 1
    words = np.random.Philox(key=4).random_raw(3)
    for size in ((), (3,)):
        drawn = gf.randint(low, high, size, generator=gf.Generator(4), device=device).tolist()
        expected = [int(w) % (high - low) + low for w in words]
        assert drawn == (expected if size else expected[0])


def test_ranges_sizes_and_places_that_cannot_be_are_refused():
    for low, high in ((3, 3), (3, 2), (0, 2**63), (-(2**63) - 1, 0)):
        with pytest.raises(
            ValueError, match=rf"\[randint\] needs -2\*\*63 <= low < high < 2\*\*63, got {low} and {high}"
        ):
            gf.randint(low, high, (2,))
    for draw in (lambda: gf.randint(0, 2.5, (2,)), lambda: gf.randperm(2.5), lambda: gf.rand(2.5)):
        with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
            draw()
    with pytest.raises(ValueError, match="sizes must not be negative"):
        gf.randperm(-1)
    for state in ((1, -1), (2**64, 0), (1, 0.5), (1, 2, 3)):
        with pytest.raises(ValueError, match=r"\[seek\] a state is a seed and an offset, both in \[0, 2\*\*64\)"):
            gf.Generator(0).seek(state)


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_a_stream_goes_on_beyond_its_last_block(device):
    generator = gf.Generator(0)
    generator.seek((9, 2**64 - 2))
    words = np.random.Philox(key=9, counter=2**64 - 2).random_raw(16)
    drawn = gf.rand(16, dtype=gf.float64, generator=generator, device=device).numpy()
    np.testing.assert_array_equal(drawn, (words >> 11) * 2.0**-53)
    assert generator.state == (9, 2)


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


def test_dropout_of_integers_is_refused():
    with pytest.raises(TypeError, match=r"\[dropout\] .* needs floats, got \(3,\) int64; convert it with .float\(\)"):
        F.dropout(gf.tensor([1, 2, 3]), 0.5)


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


@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_second_derivatives_and_tangents_see_the_same_mask(device):
    x = gf.tensor(np.linspace(-2, 2, 12).reshape(3, 4), device=device, requires_grad=True)

    def f(x):
        return F.dropout(x, 0.4, generator=gf.Generator(7))

    factor = f(gf.ones_like(x)).detach().numpy()  # 0, or 1 / 0.6
    assert 0 < (factor > 0).mean() < 1
    (first,) = gf.autograd.grad((f(x) ** 3).sum(), x, create_graph=True)
    (second,) = gf.autograd.grad(first.sum(), x)
    np.testing.assert_allclose(second.numpy(), 6 * factor**3 * x.detach().numpy())
    _, tangent = gf.func.jvp(f, (x.detach(),), (gf.ones_like(x.detach()),))
    np.testing.assert_array_equal(tangent.numpy(), factor)


def test_no_mask_is_kept_where_it_can_be_made_again():
    x = gf.ones(1000, device="emulated", requires_grad=True)
    gf.kernels.reset()
    y = F.dropout(x, 0.5)
    assert y.edge.residual is None and not any(a is not None for a in y.edge.args)
    y.sum().backward()
    assert gf.kernels.launches()["dropout"] == 2
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


# -- the generator's state ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DRAWS)
def test_a_saved_state_continues_the_stream_exactly(name, tmp_path):
    from safetensors.numpy import load_file, save_file

    draw, generator = DRAWS[name], gf.Generator(2**64 - 5)
    draw(generator=generator)
    state = generator.get_state()
    assert state.dtype == gf.uint8 and state.shape == (16,)
    save_file({"rng": state.numpy()}, tmp_path / "state.safetensors")
    expected = [draw(generator=generator).numpy() for _ in range(2)]
    resumed = gf.Generator(0)
    resumed.set_state(gf.tensor(load_file(tmp_path / "state.safetensors")["rng"]))
    assert resumed.initial_seed() == 2**64 - 5
    for numbers in expected:
        np.testing.assert_array_equal(draw(generator=resumed).numpy(), numbers)
    gf.set_rng_state(state)
    np.testing.assert_array_equal(draw().numpy(), expected[0])
    assert gf.get_rng_state().tolist() != state.tolist() and gf.default_generator.initial_seed() == gf.initial_seed()


@pytest.mark.parametrize("twin_of", [copy.deepcopy, copy.copy, lambda g: pickle.loads(pickle.dumps(g))])
def test_copies_of_a_generator_are_independent(twin_of):
    generator = gf.Generator(6, device="cuda")
    gf.rand(3, generator=generator)
    twin = twin_of(generator)
    assert twin.state == generator.state and twin.device == generator.device
    first = gf.rand(4, generator=twin).numpy()
    np.testing.assert_array_equal(gf.rand(4, generator=generator).numpy(), first)
    assert not np.array_equal(gf.rand(4, generator=twin).numpy(), first) and twin.state != generator.state


def test_seeds():
    generator = gf.Generator("cpu")
    assert (
        str(generator.device) == "cpu"
        and generator.manual_seed(-1) is generator
        and generator.initial_seed() == 2**64 - 1
    )
    seed = generator.seed()
    first = gf.rand(3, generator=generator).numpy()
    np.testing.assert_array_equal(gf.rand(3, generator=gf.Generator(seed)).numpy(), first)
    assert gf.seed() == gf.initial_seed() and repr(gf.Generator(3)) == "<Generator seed=3 offset=0>"


def test_states_that_are_none_are_refused():
    for state in (gf.zeros(16), gf.zeros(8, dtype=gf.uint8), (1, 2)):
        with pytest.raises(TypeError, match=r"\[set_state\] expected what get_state returns"):
            gf.Generator(0).set_state(state)
