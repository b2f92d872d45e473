"""The generator: a stream that can be named, sought and made again, with the same bits on every device."""

import numpy as np
import pytest

import gradflow as gf

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
