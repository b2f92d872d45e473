"""Recurrent layers: plain (Elman, 1990), GRU (Cho et al., 2014) and LSTM (Hochreiter and Schmidhuber, 1997).

Sequences are (L, N, features), with batch_first (N, L, features), without a batch (L, features), or packed. The
products with the inputs of all steps are one; a step then takes one product with the state and a few operations on
(N, features). Weights and biases are uniform in +-1/sqrt(hidden_size) at the start.
"""

from __future__ import annotations

import warnings
from typing import Any

from ..autograd.value import device_under
from ..creation import zeros
from ..functions import cat, relu, reshape, split, squeeze, stack, tanh, transpose, unsqueeze
from . import functional as F
from .module import Module
from .start import uniform
from .steps import State, Step, gru, lstm, plain, walk
from .utils.rnn import PackedSequence, reordered


def _restart(layer: Any) -> None:
    for p in layer.parameters():
        p.detach().copy_(uniform(tuple(p.shape), layer.hidden_size**-0.5, p.device, p.dtype).detach())


def _given(name: str, hx: Any, shapes: list[tuple[int, ...]]) -> State:
    """The states a user gives, one or a pair, each of its shape; TypeError or ValueError where they are not."""
    pair = isinstance(hx, (tuple, list))
    if pair != (len(shapes) > 1) or (pair and len(hx) != len(shapes)):
        expected = "a pair (h, c)" if len(shapes) > 1 else "one tensor"
        raise TypeError(
            f"[{name}] the states must be {expected}, got {f'{len(hx)} of them' if pair else type(hx).__name__}"
        )
    states = tuple(hx) if pair else (hx,)
    for state, shape in zip(states, shapes, strict=True):
        if tuple(state.shape) != shape:
            raise ValueError(f"[{name}] a state is {tuple(state.shape)}, expected {shape}")
    return states


class RNNBase(Module):
    """What the recurrent layers share: parameters weight_ih_l0, weight_hh_l0, bias_ih_l0, ..., and the walk over
    layers, directions and steps."""

    gates = 1
    biases_add = True  # whether bias_hh may be added to all steps at once

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"[{name}] dropout must be a probability, got {dropout}")
        if min(input_size, hidden_size, num_layers) < 1 or not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"[{name}] sizes and num_layers must be positive, proj_size less than hidden_size; got input_size "
                f"{input_size}, hidden_size {hidden_size}, num_layers {num_layers}, proj_size {proj_size}"
            )
        if dropout and num_layers == 1:
            warnings.warn(
                f"[{name}] dropout is applied between layers and does nothing where there is one", stacklevel=3
            )
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        out = proj_size or hidden_size
        directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                rows = self.gates * hidden_size
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, out * directions if layer else input_size),
                    "weight_hh": (rows, out),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for kind, shape in shapes.items():
                    self.register_parameter(kind + suffix, uniform(shape, hidden_size**-0.5, device, dtype))

    def _suffixes(self, layer: int) -> list[str]:
        """What the names of a layer's parameters end in, one per direction."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: 2 if self.bidirectional else 1]

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        groups = [self._weights(suffix) for n in range(self.num_layers) for suffix in self._suffixes(n)]
        return [[w for w in group if w is not None] for group in groups]

    def _weights(self, suffix: str) -> list[Any]:
        """weight_ih, weight_hh, bias_ih, bias_hh and weight_hr of a layer and direction, or None each. They need not be
        parameters: `weight_norm`, for one, replaces them."""
        held = {"weight_ih": True, "weight_hh": True, "bias_ih": self.bias, "bias_hh": self.bias}
        held["weight_hr"] = bool(self.proj_size)
        return [getattr(self, kind + suffix) if there else None for kind, there in held.items()]

    def reset_parameters(self) -> None:
        """Numbers uniform in +-1/sqrt(hidden_size)."""
        _restart(self)

    def flatten_parameters(self) -> None:
        """Nothing: parameters need no common memory here."""

    def _step(self, weight: Any, bias: Any, projection: Any) -> Step:
        raise NotImplementedError

    def _state_sizes(self) -> tuple[int, ...]:
        """The features of each state."""
        return (self.proj_size or self.hidden_size,)

    def forward(self, x: Any, hx: Any = None) -> Any:
        """(outputs, last states) of a sequence from the states `hx`, each (layers * directions, N, features), 0 by
        default. An LSTM's states are a pair (h, c)."""
        packed = x if isinstance(x, PackedSequence) else None
        x = x if packed is None else packed.data
        self._check(x, packed)
        batched = packed is not None or x.ndim == 3
        if packed is None:
            x = unsqueeze(x, 1) if not batched else transpose(x, 0, 1) if self.batch_first else x
            sizes = [x.shape[1]] * x.shape[0]
            x = reshape(x, x.shape[0] * x.shape[1], x.shape[2])
        else:
            sizes = [int(n) for n in packed.batch_sizes.tolist()]
        states = self._states(hx, x, sizes[0], batched)
        if packed is not None and hx is not None:
            states = tuple([reordered(s, packed.sorted_indices) for s in states])
        y, last = self._layers(x, sizes, states)
        if packed is not None:
            y = PackedSequence(y, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
            last = tuple([reordered(s, packed.unsorted_indices) for s in last])
        else:
            y = reshape(y, len(sizes), sizes[0], y.shape[1])
            if not batched:
                y, last = squeeze(y, 1), tuple([squeeze(s, 1) for s in last])
            elif self.batch_first:
                y = transpose(y, 0, 1)
        return y, (last if len(last) > 1 else last[0])

    def _check(self, x: Any, packed: Any) -> None:
        name = type(self).__name__
        if packed is None and x.ndim not in (2, 3):
            raise ValueError(f"[{name}] expected x of 2 or 3 dimensions, got {tuple(x.shape)}")
        if x.shape[-1] != self.input_size:
            raise ValueError(f"[{name}] expected {self.input_size} features, got x {tuple(x.shape)}")
        if x.dtype != self.weight_ih_l0.dtype:
            raise ValueError(
                f"[{name}] x is {x.dtype} but the weights are {self.weight_ih_l0.dtype}; convert one of them with .to()"
            )
        if packed is None and not x.shape[0 if x.ndim == 2 else int(self.batch_first)]:
            raise ValueError(f"[{name}] a sequence needs at least one step, got x {tuple(x.shape)}")

    def _states(self, hx: Any, x: Any, n: int, batched: bool) -> State:
        """The states at the start, each (layers * directions, N, features)."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        wanted = [(count, n, size) for size in self._state_sizes()]
        if hx is None:
            return tuple([zeros(*shape, dtype=x.dtype, device=device_under(x)) for shape in wanted])
        states = _given(type(self).__name__, hx, [s if batched else (s[0], s[2]) for s in wanted])
        return states if batched else tuple([unsqueeze(s, 1) for s in states])

    def _layers(self, x: Any, sizes: list[int], states: State) -> tuple[Any, State]:
        """All layers over the rows of all steps, x (sum of sizes, features)."""
        last: list[State] = []
        firsts = [[squeeze(s, 0) for s in split(state, 1)] for state in states]
        starts = list(zip(*firsts, strict=True))
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes(layer):
                w_input, w_state, bias, own, projection = self._weights(suffix)
                if self.biases_add and bias is not None:
                    bias, own = bias + own, None
                step = self._step(w_state, own, projection)
                y, state = walk(step, F.linear(x, w_input, bias), sizes, starts[len(last)], suffix.endswith("_reverse"))
                outputs.append(y)
                last.append(state)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, 1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple([stack(list(kind)) for kind in zip(*last, strict=True)])

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        for name, default in (*defaults.items(), ("bidirectional", False)):
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu: x (L, N, input_size) -> outputs (L, N, D hidden_size) and last
    states (D layers, N, hidden_size), where D is 2 if bidirectional, else 1."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._check_nonlinearity(nonlinearity)
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity

    @staticmethod
    def _check_nonlinearity(nonlinearity: str) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"[RNN] nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")

    def _step(self, weight: Any, bias: Any, projection: Any) -> Step:
        return plain(tanh if self.nonlinearity == "tanh" else relu, weight, bias, projection)


class GRU(RNNBase):
    """Gated recurrent units: h' = (1 - z) n + z h with r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh) and
    n = tanh(W_in x + b_in + r (W_hn h + b_hn)). Shapes as in `RNN`."""

    gates = 3
    biases_add = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def _step(self, weight: Any, bias: Any, projection: Any) -> Step:
        return gru(weight, bias, projection)


class LSTM(RNNBase):
    """Long short-term memory: c' = f c + i g and h' = o tanh(c') with i, f, o = sigmoid(W_ih x + b_ih + W_hh h + b_hh)
    and g the tanh of the like. h is multiplied by weight_hr where there is a proj_size (Sak et al., 2014).

    Shapes as in `RNN`, with a pair of states: h (D layers, N, proj_size or hidden_size), c (D layers, N, hidden_size).
    """

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip

    def _step(self, weight: Any, bias: Any, projection: Any) -> Step:
        return lstm(weight, bias, projection)

    def _state_sizes(self) -> tuple[int, ...]:
        return self.proj_size or self.hidden_size, self.hidden_size


class RNNCellBase(Module):
    """One step of a recurrent layer, with parameters weight_ih, weight_hh, bias_ih and bias_hh."""

    gates = 1
    states = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        if min(input_size, hidden_size) < 1:
            raise ValueError(f"[{type(self).__name__}] sizes must be positive, got {input_size} and {hidden_size}")
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows, bound = self.gates * hidden_size, hidden_size**-0.5
        self.weight_ih = uniform((rows, input_size), bound, device, dtype)
        self.weight_hh = uniform((rows, hidden_size), bound, device, dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, uniform((rows,), bound, device, dtype) if bias else None)

    def reset_parameters(self) -> None:
        """Numbers uniform in +-1/sqrt(hidden_size)."""
        _restart(self)

    def _step(self) -> Step:
        raise NotImplementedError

    def forward(self, x: Any, hx: Any = None) -> Any:
        """The states after x (N, input_size) or (input_size,), from states `hx`, 0 by default."""
        name = type(self).__name__
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(f"[{name}] expected {self.input_size} features (N, F) or (F,), got x {tuple(x.shape)}")
        wanted = (*x.shape[:-1], self.hidden_size)
        if hx is None:
            given: State = (zeros(*wanted, dtype=x.dtype, device=device_under(x)),) * self.states
        else:
            given = _given(name, hx, [wanted] * self.states)
        if x.ndim == 1:
            x, given = unsqueeze(x, 0), tuple([unsqueeze(s, 0) for s in given])
        after = self._step()(F.linear(x, self.weight_ih, self.bias_ih), given)
        if len(wanted) == 1:
            after = tuple([squeeze(s, 0) for s in after])
        return after if self.states > 1 else after[0]

    def extra_repr(self) -> str:
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return (
            f"{self.input_size}, {self.hidden_size}"
            + ("" if self.bias else ", bias=False")
            + ("" if nonlinearity == "tanh" else f", nonlinearity={nonlinearity}")
        )


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu: (N, input_size), (N, hidden_size) -> (N, hidden_size)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        RNN._check_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def _step(self) -> Step:
        return plain(tanh if self.nonlinearity == "tanh" else relu, self.weight_hh, self.bias_hh, None)


class GRUCell(RNNCellBase):
    """One step of `GRU`: (N, input_size), (N, hidden_size) -> (N, hidden_size)."""

    gates = 3

    def _step(self) -> Step:
        return gru(self.weight_hh, self.bias_hh, None)


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: (N, input_size), a pair of (N, hidden_size) -> the next pair."""

    gates, states = 4, 2

    def _step(self) -> Step:
        return lstm(self.weight_hh, self.bias_hh, None)


__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]
