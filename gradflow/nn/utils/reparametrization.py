"""Weights computed anew before each forward pass: weight normalisation and spectral normalisation."""

from __future__ import annotations

from typing import Any

from ...autograd.grad_mode import no_grad
from ...creation import randn
from ..parameter import Parameter


def _others(ndim: int, dim: int) -> tuple[int, ...]:
    return tuple([d for d in range(ndim) if d != dim % ndim])


def norm_except_dim(v: Any, dim: int | None) -> Any:
    """sqrt(sum v^2) over all dimensions but dim (None: over all), kept as dimensions of size 1."""
    if dim is None or dim == -1:  # as in PyTorch, -1 stands for none too
        return (v * v).sum().sqrt()
    return (v * v).sum(_others(v.ndim, dim), keepdim=True).sqrt() if v.ndim > 1 else (v * v).sqrt()


def _find(module: Any, kind: type, name: str, op: str) -> tuple[int, Any]:
    for key, (hook, _) in (module._hooks["forward_pre"] if module._hooks else {}).items():
        if isinstance(hook, kind) and hook.name == name:  # type: ignore[attr-defined]
            return key, hook
    raise ValueError(f"[{op}] {name!r} of {type(module).__name__} is not normalised so")


def _refuse_second(module: Any, kind: type, name: str, op: str) -> None:
    hooks = module._hooks["forward_pre"].values() if module._hooks else ()
    if any([isinstance(hook, kind) and hook.name == name for hook, _ in hooks]):  # type: ignore[attr-defined]
        raise RuntimeError(f"[{op}] {name!r} of {type(module).__name__} is normalised so already")


class WeightNorm:
    """The forward pre-hook of `weight_norm`."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def compute(self, module: Any) -> Any:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except_dim(v, self.dim))

    def __call__(self, module: Any, args: Any) -> None:
        setattr(module, self.name, self.compute(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Split a weight into a length g and a direction v: w = g v / ||v|| (Salimans and Kingma, 2016).

    The norm is taken for every index of dim, or over all elements where dim is None. The parameters are called
    `<name>_g` and `<name>_v`.
    """
    _refuse_second(module, WeightNorm, name, "weight_norm")
    weight, hook = getattr(module, name), WeightNorm(name, dim)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight, dim).detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Make a weight that `weight_norm` split one parameter again."""
    key, hook = _find(module, WeightNorm, name, "remove_weight_norm")
    weight = hook.compute(module).detach()
    for held in (name, f"{name}_g", f"{name}_v"):
        delattr(module, held)
    module.register_parameter(name, Parameter(weight))
    del module._hooks["forward_pre"][key]
    return module


def matrix_of(weight: Any, dim: int) -> Any:
    """A weight as a matrix (dim, the rest)."""
    if dim % weight.ndim:
        weight = weight.permute(dim, *_others(weight.ndim, dim))
    return weight.reshape(weight.shape[0], -1)


def unit(x: Any, eps: float) -> Any:
    """x / ||x||, or x / eps where x is shorter than eps."""
    return x / (x * x).sum().sqrt().clamp(min=eps)


class SpectralNorm:
    """The forward pre-hook of `spectral_norm`."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        if n_power_iterations <= 0:
            raise ValueError(f"[spectral_norm] n_power_iterations must be positive, got {n_power_iterations}")
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute(self, module: Any, iterate: bool) -> Any:
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        w = matrix_of(weight, self.dim)
        if iterate:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(unit(w.T @ u, self.eps))
                    u.copy_(unit(w @ v, self.eps))
        # copies, as the next call changes the vectors in place while this one's backward pass may still need them
        return weight / (u.clone() * (w @ v.clone())).sum()

    def __call__(self, module: Any, args: Any) -> None:
        setattr(module, self.name, self.compute(module, module.training))


def spectral_norm(
    module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Any:
    """Divide a weight by its greatest singular value, which power iterations follow in training (Miyato et al., 2018).

    The weight is taken as a matrix (dim, the rest); dim is 0, but 1 for transposed convolutions. The parameter is
    called `<name>_orig`, the singular vectors are the buffers `<name>_u` and `<name>_v`.
    """
    _refuse_second(module, SpectralNorm, name, "spectral_norm")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    weight, hook = getattr(module, name), SpectralNorm(name, n_power_iterations, dim, eps)
    w = matrix_of(weight.detach(), dim)
    u, v = [unit(randn(n, dtype=w.dtype, device=w.device), eps) for n in w.shape]
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make a weight that `spectral_norm` divides a parameter of its own again."""
    key, hook = _find(module, SpectralNorm, name, "remove_spectral_norm")
    with no_grad():
        weight = hook.compute(module, False).detach()
    for held in (name, f"{name}_u", f"{name}_v", f"{name}_orig"):
        delattr(module, held)
    module.register_parameter(name, Parameter(weight))
    del module._hooks["forward_pre"][key]
    return module


__all__ = ["norm_except_dim", "remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]
