"""Function transforms: `gf.func.grad`, `vjp`, `jvp`, `vmap`, `jacrev`, `jacfwd`, `hessian`, as in torch.func."""

from .autograd.func import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp, vmap

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp", "vmap"]
