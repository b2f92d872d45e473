"""Losses as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from . import functional as F
from .functional.reduced import check_reduction
from .module import Module


class Loss(Module):
    """A loss function with its options: a subclass names the function, and the attributes that it is given."""

    function: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]] = ()
    reductions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(type(self).__name__, reduction, *self.reductions)
        self.reduction = reduction

    def forward(self, *tensors: Any) -> Any:
        options = {name: getattr(self, name) for name in (*self.options, "reduction")}
        return type(self).function(*tensors, **options)


class CrossEntropyLoss(Module):
    """Cross entropy of logits with class indices or probabilities."""

    def __init__(
        self,
        weight: Any = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.size_average, self.reduce = size_average, reduce
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, x: Any, target: Any) -> Any:
        return F.cross_entropy(
            x, target, self.weight, self.size_average, self.ignore_index, self.reduce, self.reduction,
            self.label_smoothing,
        )  # fmt: skip


class NLLLoss(Loss):
    """-x[target] for log-probabilities x."""

    function = staticmethod(F.nll_loss)
    options = ("weight", "ignore_index")

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index


class MSELoss(Loss):
    """(x - target)^2."""

    function = staticmethod(F.mse_loss)


class L1Loss(Loss):
    """|x - target|."""

    function = staticmethod(F.l1_loss)


class SmoothL1Loss(Loss):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, with d = x - target."""

    function = staticmethod(F.smooth_l1_loss)
    options = ("beta",)

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta


class HuberLoss(Loss):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = x - target."""

    function = staticmethod(F.huber_loss)
    options = ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta


class BCELoss(Loss):
    """-w (t log x + (1 - t) log(1 - x)) for probabilities x."""

    function = staticmethod(F.binary_cross_entropy)
    options = ("weight",)

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)


class BCEWithLogitsLoss(Loss):
    """Binary cross entropy of logits, without overflow."""

    function = staticmethod(F.binary_cross_entropy_with_logits)
    options = ("weight", "pos_weight")

    def __init__(self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)


class KLDivLoss(Loss):
    """t (log t - x) for log-probabilities x; the divergence is reduction="batchmean"."""

    function = staticmethod(F.kl_div)
    options = ("log_target",)
    reductions = ("batchmean",)

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target


class GaussianNLLLoss(Loss):
    """(log v + (x - target)^2 / v) / 2: called with (x, target, v)."""

    function = staticmethod(F.gaussian_nll_loss)
    options = ("full", "eps")

    def __init__(self, *, reduction: str = "mean", full: bool = False, eps: float = 1e-6) -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps


class PoissonNLLLoss(Loss):
    """exp(x) - t x for the logarithm x of a rate."""

    function = staticmethod(F.poisson_nll_loss)
    options = ("log_input", "full", "eps")

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps


class HingeEmbeddingLoss(Loss):
    """x where the target is 1, max(0, margin - x) where it is -1."""

    function = staticmethod(F.hinge_embedding_loss)
    options = ("margin",)

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin


class MarginRankingLoss(Loss):
    """max(0, margin - t (x1 - x2))."""

    function = staticmethod(F.margin_ranking_loss)
    options = ("margin",)

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin


class SoftMarginLoss(Loss):
    """log(1 + exp(-t x)) for targets of 1 and -1."""

    function = staticmethod(F.soft_margin_loss)


class CosineEmbeddingLoss(Loss):
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1."""

    function = staticmethod(F.cosine_embedding_loss)
    options = ("margin",)

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin


class TripletMarginLoss(Loss):
    """max(0, margin + |a - p| - |a - n|) in the p-norm."""

    function = staticmethod(F.triplet_margin_loss)
    options = ("margin", "p", "eps", "swap")

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap


class TripletMarginWithDistanceLoss(Loss):
    """TripletMarginLoss with a distance of your own."""

    function = staticmethod(F.triplet_margin_with_distance_loss)
    options = ("distance_function", "margin", "swap")

    def __init__(
        self,
        *,
        reduction: str = "mean",
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
    ) -> None:
        super().__init__(reduction=reduction)
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap


class MultiMarginLoss(Loss):
    """sum over i != y of max(0, margin - x[y] + x[i])^p w[y], divided by the number of classes."""

    function = staticmethod(F.multi_margin_loss)
    options = ("p", "margin", "weight")

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.p = p
        self.margin = margin
        self.register_buffer("weight", weight)


class MultiLabelMarginLoss(Loss):
    """A margin between each class of the target and each other class."""

    function = staticmethod(F.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(Loss):
    """Binary cross entropy of logits, a mean over the last dimension."""

    function = staticmethod(F.multilabel_soft_margin_loss)
    options = ("weight",)

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)


class CTCLoss(Loss):
    """Connectionist temporal classification: called with (log_probs, targets, input_lengths, target_lengths)."""

    function = staticmethod(F.ctc_loss)
    options = ("blank", "zero_infinity")

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity


__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]
