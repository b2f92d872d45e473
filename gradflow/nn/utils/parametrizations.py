"""Weight normalisation and spectral normalisation as parametrizations (see `parametrize`)."""

from __future__ import annotations

from typing import Any

from ...autograd.grad_mode import no_grad
from ...creation import randn
from ..module import Module
from .parametrize import register_parametrization
from .reparametrization import matrix_of, norm_except_dim, unit


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Split a weight into a length g (`original0`) and a direction v (`original1`): w = g v / ||v|| (Salimans and
    Kingma, 2016). The norm is taken for every index of dim, or over all elements where dim is None."""
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def older_names(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
        if f"{prefix}{name}_g" in state and f"{prefix}{name}_v" in state:
            for i, end in enumerate("gv"):
                state[f"{prefix}parametrizations.{name}.original{i}"] = state.pop(f"{prefix}{name}_{end}")

    module.register_load_state_dict_pre_hook(older_names)
    return module


class _SpectralNorm(Module):
    _u: Any
    _v: Any

    def __init__(self, weight: Any, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"[spectral_norm] dim {dim} is out of range for a weight {tuple(weight.shape)}")
        if n_power_iterations <= 0:
            raise ValueError(f"[spectral_norm] n_power_iterations must be positive, got {n_power_iterations}")
        self.dim, self.eps, self.n_power_iterations = dim % weight.ndim, eps, n_power_iterations
        if weight.ndim > 1:
            w = matrix_of(weight.detach(), self.dim)
            for name, n in zip(("_u", "_v"), w.shape, strict=True):
                self.register_buffer(name, unit(randn(n, dtype=w.dtype, device=w.device), eps))
            self._iterate(w, 15)

    def _iterate(self, w: Any, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.copy_(unit(w @ self._v, self.eps))
                self._v.copy_(unit(w.T @ self._u, self.eps))

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return unit(weight, self.eps)
        w = matrix_of(weight, self.dim)
        if self.training:
            self._iterate(w, self.n_power_iterations)
        return weight / (self._u.clone() * (w @ self._v.clone())).sum()

    def right_inverse(self, value: Any) -> Any:
        return value


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide a weight by its greatest singular value, which power iterations follow in training (Miyato et al., 2018).

    The weight is taken as a matrix (dim, the rest); dim is 0, but 1 for transposed convolutions.
    """
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    weight = getattr(module, name)
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


__all__ = ["spectral_norm", "weight_norm"]
