"""Random numbers: a seekable counter-based generator with the same bits on every device, and dropout.

The generator is Philox 4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) as NumPy has it:
block i of a stream is a function of (seed, i) alone, so that a draw is named by its seed and offset, can be made again
without being stored, and can be made in parallel. NumPy counts up before it makes a block, so that an offset of k
yields block k + 1 first.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from ..autograd.batch import elementwise
from ..autograd.define import primitive
from ..autograd.grad_mode import MODE
from ..autograd.primitive import bind, raw_over
from ..autograd.tape import MAIN
from ..autograd.value import TransformError, Value, describe, device_under, host_array, make
from ..backend.base import Device
from ..backend.device import get_backend, parse_device
from ..backend.dtypes import float32, is_floating
from ..backend.threads import spread
from .elementwise import add, greater_equal, multiply, where, wide

Key = tuple[int, int]


class Generator:
    """A stream of random numbers: a seed and an offset into its blocks of four 64-bit words.

    `key(n)` reserves n words and names them; `state` and `seek`, or `get_state` and `set_state`, save and restore the
    position. Draws on every device use the same stream; `device` is only noted. Copies (deepcopy, pickle) are
    independent streams that go on from the same place. Thread-safe.
    """

    def __init__(self, seed: int | Any = None, *, device: Any = None) -> None:
        if isinstance(seed, (str, Device)):  # PyTorch's Generator(device)
            seed, device = None, seed
        self.device = parse_device("cpu" if device is None else device)
        self._lock = threading.Lock()
        if seed is None:
            self.seed()
        else:
            self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed, an integer in [-2^63, 2^64)."""
        if not isinstance(seed, (int, numpy.integer)) or not -(2**63) <= seed < 2**64:
            raise ValueError(f"[manual_seed] the seed must be an integer in [-2**63, 2**64), got {seed!r}")
        with self._lock:
            self._seed, self._offset = int(seed) % 2**64, 0
        return self

    def seed(self) -> int:
        """Start again from a seed that the system's randomness gives; it is returned."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed the stream began with."""
        return self._seed

    @property
    def state(self) -> Key:
        """(seed, offset): where the stream is."""
        with self._lock:
            return self._seed, self._offset

    def seek(self, state: Key) -> None:
        """Go to a position that `state` returned: a seed and an offset, both in [0, 2^64)."""
        if len(state) != 2 or not all([isinstance(n, (int, numpy.integer)) and 0 <= n < 2**64 for n in state]):
            raise ValueError(f"[seek] a state is a seed and an offset, both in [0, 2**64), got {state!r}")
        with self._lock:
            self._seed, self._offset = int(state[0]), int(state[1])

    def get_state(self) -> Any:
        """`state` as a uint8 tensor of 16 elements on the CPU, which can be saved with a model's."""
        return make(numpy.array(self.state, "<u8").view("u1"), MAIN)

    def set_state(self, new_state: Any) -> None:
        """Go to a position that `get_state` returned."""
        if not isinstance(new_state, Value) or new_state.shape != (16,) or new_state.dtype != numpy.uint8:
            what = describe(new_state) if hasattr(new_state, "dtype") else repr(new_state)
            raise TypeError(f"[set_state] expected what get_state returns, a tensor (16,) uint8, got {what}")
        seed, offset = host_array(new_state, "set_state").view("<u8").tolist()
        self.seek((seed, offset))

    def key(self, words: int) -> Key:
        """Reserve `words` 64-bit words of the stream; the key names them."""
        with self._lock:
            key = (self._seed, self._offset)
            self._offset = (self._offset + -(-words // 4)) % 2**64
        return key

    def __getstate__(self) -> tuple[Key, Any]:
        return self.state, self.device

    def __setstate__(self, state: tuple[Key, Any]) -> None:
        (self._seed, self._offset), self.device = state
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Generator seed={self._seed} offset={self._offset}>"


default_generator = Generator()


def bits(key: Key, count: int) -> numpy.ndarray:
    """`count` 64-bit words of the stream, from a key on."""
    return numpy.random.Philox(key=key[0], counter=key[1]).random_raw(count)


def halves(key: Key, count: int) -> numpy.ndarray:
    """`count` 32-bit numbers of the stream: the lower half of each word, then the upper."""
    return bits(key, -(-count // 2)).astype("<u8", copy=False).view("<u4")[:count]


def normal_words(count: int) -> int:
    """How many words `random_normal` takes for `count` numbers."""
    return 2 * -(-count // 2)


# -- draws: primitives without arrays; bodies make the numbers on the host, kernels where they are wanted --------------


CHUNK = 2**13
"""How many numbers are made at a time, so that temporaries stay in a core's cache."""


def _in_parallel(work: Callable[[Sequence[int]], None], count: int) -> None:
    """work(starts) with where the chunks of `count` numbers start: a run of neighbours for each worker."""
    starts = range(0, count, CHUNK)
    if count > CHUNK:
        spread(work, starts)
    elif count:
        work(starts)


def _stream(key: Key, words: int) -> numpy.random.Generator:
    """NumPy's generator, so many words beyond a key (a multiple of 4). It lets other threads work meanwhile."""
    return numpy.random.Generator(numpy.random.Philox(key=key[0], counter=key[1] + words // 4))


@primitive()
def random_uniform(np: Any, *, shape: tuple[int, ...], dtype: Any, key: Key) -> Any:
    """Uniform in [0, 1): float64 from the top 53 bits of a word, narrower floats from the top bits of a half, as many
    as they hold exactly (24, 11 or 8)."""
    count = math.prod(shape)
    if dtype.itemsize == 2:
        held = 11 if dtype.kind == "f" else 8
        numbers = (halves(key, count) >> (32 - held)).astype("f4")
        numbers *= 2.0**-held
        return numbers.astype(dtype).reshape(shape)
    out = numpy.empty(count, dtype)

    def fill(starts: Sequence[int]) -> None:  # NumPy's random() takes just these bits
        stream = _stream(key, starts[0] * dtype.itemsize // 8)
        stream.random(dtype=dtype, out=out[starts[0] : starts[-1] + CHUNK])

    _in_parallel(fill, count)
    return out.reshape(shape)


@primitive()
def random_normal(np: Any, *, shape: tuple[int, ...], dtype: Any, key: Key) -> Any:
    """Standard normal by the method of Box and Muller: two uniforms in float64 for each pair."""
    count = math.prod(shape)
    pairs = -(-count // 2)
    out = numpy.empty(count, dtype)
    first, second = out[:pairs], out[pairs:]  # the second is one less where count is odd

    def fill(starts: Sequence[int]) -> None:
        us, vs = _stream(key, starts[0]), _stream(key, pairs - pairs % 4 + starts[0])
        vs.random(pairs % 4)  # the second uniforms may begin in the middle of a block
        for i in starts:
            n = min(CHUNK, pairs - i)
            radius = numpy.sqrt(-2.0 * numpy.log1p(-us.random(n)))
            angle = 2.0 * numpy.pi * vs.random(n)
            first[i : i + n] = radius * numpy.cos(angle)
            part = second[i : i + n]
            part[...] = (radius * numpy.sin(angle))[: part.size]

    _in_parallel(fill, pairs)
    return out.reshape(shape)


@primitive()
def random_integers(np: Any, *, shape: tuple[int, ...], low: int, span: int, key: Key) -> Any:
    """Uniform integers in [low, low + span): a word modulo the span, whose bias is below span / 2^64."""
    words = bits(key, math.prod(shape)) % numpy.uint64(span)
    words += numpy.uint64(low % 2**64)
    return words.view("i8").reshape(shape)


@primitive()
def random_permutation(np: Any, *, shape: tuple[int, ...], key: Key) -> Any:
    """Along the last axis, the integers below its size in the order of as many random words."""
    return numpy.argsort(bits(key, math.prod(shape)).reshape(shape), axis=-1, kind="stable")


def own_numbers(op: str) -> list[Any]:
    """The vmap levels at work whose examples get random numbers of their own. TransformError where one has not said."""
    for level in MODE.mapped:
        if level.randomness == "error":
            raise TransformError(
                f"[{op}] vmap met a random operation; say vmap(..., randomness='different') for numbers of its own "
                "per example, or randomness='same' for the same in all"
            )
    return [level for level in MODE.mapped if level.randomness == "different"]


def draw(
    op: str,
    name: str,
    shape: tuple[int, ...],
    device: Any,
    generator: Generator | None,
    words: Any = int,
    **static: Any,
) -> Any:
    """A tensor of random numbers made on `device` by the primitive `name`; words(count) is how many words it takes.

    Under vmap with randomness='different' every example gets numbers of its own, with 'same' all get the same, and
    with 'error' (the default) this raises.
    """
    levels = own_numbers(op)
    full = (*[level.size for level in levels], *shape)
    key = (generator or default_generator).key(words(math.prod(full)))
    value = make(getattr(raw_over(get_backend(device)), name)(shape=full, key=key, **static), MAIN)
    for level in levels:
        value = make(value.below if value.level is MAIN else value, level)
    return value


# -- dropout -----------------------------------------------------------------------------------------------------------


def _masked(np: Any, x: Any, mask: Any, scale: float) -> Any:
    return np.where(mask, (wide(x) * scale).astype(x.dtype, copy=False), np.zeros((), x.dtype))


@primitive(
    vjps=(lambda xp, g, mask, scale: xp.mask_scale(g, mask, scale=scale), None),
    batch=elementwise,
    linear=(0,),
)
def mask_scale(np: Any, x: Any, mask: Any, *, scale: float) -> Any:
    """x * scale where the mask is true, else 0, whatever x holds there."""
    return _masked(np, x, mask, scale)


def kept_scale(p: float) -> float:
    """What dropout multiplies the elements by that it keeps."""
    return 1.0 / (1.0 - p) if p < 1.0 else 0.0


def threshold(p: float) -> int:
    """Dropout keeps an element where its 32 random bits reach this."""
    return round(p * 2**32)


def _dropout_vjp(xp: Any, g: Any, saved: Any, key: Key, p: float, mask_shape: tuple[int, ...]) -> Any:
    if saved is not None:
        return xp.mask_scale(g, saved, scale=kept_scale(p))
    return xp.dropout(g, key=key, p=p, mask_shape=mask_shape)


def _same_mask(prim: Any, level: Any, values: list[Any], flags: list[bool], static: dict[str, Any]) -> Any:
    return bind(prim, tuple(values), static)


@primitive(vjps=(_dropout_vjp,), batch=_same_mask, linear=(0,))
def dropout(
    np: Any, x: Any, *, key: Key, p: float, mask_shape: tuple[int, ...], residual: bool = False
) -> Any:  # fmt: skip
    """x / (1 - p) where the mask is true, else 0, whatever x holds there.

    The mask covers x's last axes, of sizes `mask_shape`, and is the same along those before. Element i of it in C order
    is true where half word i of the key's stream reaches 2^32 p: so it can be made again instead of being stored.
    """
    mask = np.asarray((halves(key, math.prod(mask_shape)) >= threshold(p)).reshape(mask_shape))
    y = _masked(np, x, mask, kept_scale(p))
    return (y, mask) if residual else y


def drop(x: Any, p: float, generator: Generator | None) -> Any:
    """Dropout of a value of any level: one key names the mask, unless examples of a vmap want masks of their own."""
    _check_floats("dropout", x)
    shape = tuple(x.shape)
    if own_numbers("dropout"):
        return drop_blocks("dropout", x, shape, p, generator)
    key = (generator or default_generator).key(-(-math.prod(shape) // 2))
    return dropout(x, key=key, p=p, mask_shape=shape)


def drop_blocks(op: str, x: Any, shape: tuple[int, ...], p: float, generator: Generator | None) -> Any:
    """Dropout with a mask of a shape that broadcasts to x's: of channels, say."""
    return mask_scale(x, _kept(op, x, shape, p, generator), scale=kept_scale(p))


SELU_FLOOR = -1.7580993408473766
"""What SELU tends to for large negative arguments."""


def drop_alpha(op: str, x: Any, shape: tuple[int, ...], p: float, generator: Generator | None) -> Any:
    """a x + b where a mask of a shape that broadcasts is true, else a SELU_FLOOR + b; zeros where p is 1.

    a = ((1 - p) (1 + p SELU_FLOOR^2))^-1/2 and b = -a p SELU_FLOOR keep a mean of 0 and a variance of 1.
    """
    if p == 1.0:
        return drop_blocks(op, x, shape, p, generator)
    a = ((1.0 - p) * (1.0 + p * SELU_FLOOR**2)) ** -0.5
    b = -a * p * SELU_FLOOR
    return where(_kept(op, x, shape, p, generator), add(multiply(x, a), b), a * SELU_FLOOR + b)


def _kept(op: str, x: Any, shape: tuple[int, ...], p: float, generator: Generator | None) -> Any:
    """A mask, true with probability 1 - p."""
    _check_floats(op, x)
    return greater_equal(draw(op, "random_uniform", shape, device_under(x), generator, dtype=float32), p)


def _check_floats(op: str, x: Any) -> None:
    if not is_floating(x.dtype):
        raise TypeError(f"[{op}] scales what it keeps and needs floats, got {describe(x)}; convert it with .float()")
