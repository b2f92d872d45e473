"""Random numbers: a seekable counter-based generator with the same bits on every device, and dropout's scaling.

The generator is Philox 4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) as NumPy has it:
block i of a stream is a function of (seed, i) alone, so that a draw is named by its seed and offset, can be made again
without being stored, and can be made in parallel. NumPy counts up before it makes a block, so that an offset of k
yields block k + 1 first.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Any

import numpy

from ..autograd.batch import elementwise
from ..autograd.define import primitive
from ..autograd.grad_mode import MODE
from ..autograd.tape import MAIN
from ..autograd.value import TransformError, make
from ..backend.device import get_backend

Key = tuple[int, int]


class Generator:
    """A stream of random numbers: a seed and an offset into its blocks of four 64-bit words.

    `key(n)` reserves n words and names them; `state` and `seek` save and restore the position. Thread-safe.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self.manual_seed(int.from_bytes(os.urandom(8), "little") if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed, an integer in [-2^63, 2^64)."""
        if not isinstance(seed, (int, numpy.integer)) or not -(2**63) <= seed < 2**64:
            raise ValueError(f"[manual_seed] the seed must be an integer in [-2**63, 2**64), got {seed!r}")
        with self._lock:
            self.seed, self.offset = int(seed) % 2**64, 0
        return self

    def initial_seed(self) -> int:
        """The seed the stream began with."""
        return self.seed

    @property
    def state(self) -> Key:
        """(seed, offset): where the stream is."""
        with self._lock:
            return self.seed, self.offset

    def seek(self, state: Key) -> None:
        """Go to a position that `state` returned."""
        with self._lock:
            self.seed, self.offset = state

    def key(self, words: int) -> Key:
        """Reserve `words` 64-bit words of the stream; the key names them."""
        with self._lock:
            key = (self.seed, self.offset)
            self.offset += -(-words // 4)
        return key


default_generator = Generator()


def bits(key: Key, count: int) -> numpy.ndarray:
    """`count` 64-bit words of the stream, from a key on."""
    return numpy.random.Philox(key=key[0], counter=key[1]).random_raw(count)


def uniform(key: Key, shape: tuple[int, ...], dtype: Any) -> numpy.ndarray:
    """Uniform in [0, 1), on the host: float64 from the top 53 bits of a word, narrower floats from the top bits of a
    half, as many as they hold exactly (24, 11 or 8)."""
    count = math.prod(shape)
    if numpy.dtype(dtype).itemsize == 8:
        return ((bits(key, count) >> 11) * 2.0**-53).reshape(shape)
    halves = bits(key, -(-count // 2)).view("u4")[:count]
    held = 24 if numpy.dtype(dtype).itemsize == 4 else 11 if numpy.dtype(dtype).kind == "f" else 8
    return ((halves >> (32 - held)) * numpy.float32(2.0**-held)).astype(dtype).reshape(shape)


def normal(key: Key, shape: tuple[int, ...], dtype: Any) -> numpy.ndarray:
    """Standard normal, on the host, by the method of Box and Muller: two uniforms in float64 for each pair."""
    count = math.prod(shape)
    pairs = -(-count // 2)
    u = uniform(key, (2, pairs), numpy.float64)
    radius = numpy.sqrt(-2.0 * numpy.log1p(-u[0]))
    angle = 2.0 * numpy.pi * u[1]
    z = numpy.concatenate([radius * numpy.cos(angle), radius * numpy.sin(angle)])[:count]
    return z.astype(dtype).reshape(shape)


def normal_words(count: int) -> int:
    """How many words `normal` takes for `count` numbers."""
    return 2 * -(-count // 2)


def draw(op: str, make_words: Any, words: Any, shape: tuple[int, ...], dtype: Any, device: Any, generator: Any) -> Any:
    """A tensor of random numbers, make_words(key, shape, dtype) on the host, copied to `device`.

    Under vmap with randomness='different' every example gets numbers of its own, with 'same' all get the same, and
    with 'error' (the default) this raises.
    """
    sizes = []
    for level in MODE.mapped:
        if level.randomness == "error":
            raise TransformError(
                f"[{op}] vmap met a random operation; say vmap(..., randomness='different') for numbers of its own "
                "per example, or randomness='same' for the same in all"
            )
        if level.randomness == "different":
            sizes.append((level, level.size))
    full = (*[n for _, n in sizes], *shape)
    count = math.prod(full)
    key = (generator or default_generator).key(words(count))
    value = make(get_backend(device).from_host(make_words(key, full, dtype)), MAIN)
    for level, _ in sizes:
        value = make(value.inner if value.level is MAIN else value, level)
    return value


@primitive(
    vjps=(lambda xp, g, mask, scale: xp.mask_scale(g, mask, scale=scale), None),
    batch=elementwise,
    linear=(0,),
)
def mask_scale(np: Any, x: Any, mask: Any, *, scale: float) -> Any:
    """x * scale where the mask is true, else 0, whatever x holds there."""
    return np.where(mask, (x * scale).astype(x.dtype, copy=False), np.zeros((), x.dtype))


def integers(key: Key, shape: tuple[int, ...], low: int, high: int) -> numpy.ndarray:
    """Uniform integers in [low, high), on the host: a word modulo the range, whose bias is below range / 2^64."""
    count = math.prod(shape)
    return (bits(key, count) % numpy.uint64(high - low)).astype("i8").reshape(shape) + low


def permutation(key: Key, shape: tuple[int, ...]) -> numpy.ndarray:
    """Along the last axis, the integers below its size in the order of as many random words, on the host."""
    count = math.prod(shape)
    return numpy.argsort(bits(key, count).reshape(shape), axis=-1, kind="stable")
