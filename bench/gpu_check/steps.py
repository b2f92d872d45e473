"""Training steps of the benchmark networks: gradflow, and PyTorch eager, compiled, and as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .book import Book
from .duel import Duel, Entry, Timed
from .place import Place

BATCHES = (128, 512, 1024)
NAMES = ("mlp", "lenet", "cnn", "cnn_bn")
PLAIN, LAST = "eager", "eager, channels last"


def make(
    place: Place, *, net: str, batch: int, way: str = "eager", channels_last: bool = False
) -> tuple[Callable[[], Any], Callable[[], list[float]]]:
    """Forward, cross entropy, backward and SGD with momentum on one batch; the check is the first three losses."""
    if way == "graph":
        return graph(place, net, batch, channels_last)
    forward, optimizer = pieces(place, net, batch, channels_last)
    if way == "compile":
        place.lib._dynamo.reset()
        forward = place.lib.compile(forward, dynamic=False)
    step = stepping(forward, optimizer)
    return step, lambda: [step().item() for _ in range(3)]


def stepping(forward: Callable[[], Any], optimizer: Any) -> Callable[[], Any]:
    """One step of training; it returns the loss."""

    def step() -> Any:
        optimizer.zero_grad()
        loss = forward()
        loss.backward()
        optimizer.step()
        return loss

    return step


def pieces(place: Place, net: str, batch: int, channels_last: bool) -> tuple[Callable[[], Any], Any]:
    """(the loss on one batch, the optimiser of the net in it); weights and images are the same in every library."""
    from gradflow.cli.bench_peers import NETS, fill, noise

    lib = place.lib
    with place.default():
        model, x = NETS[net](lib.nn), noise(lib, batch, 1, 28, 28)
        if place.library == "gradflow":
            model.to(place.device)
        if channels_last:
            model, x = model.to(memory_format=lib.channels_last), x.to(memory_format=lib.channels_last)
        fill(lib, model)
        labels = lib.tensor([i % 10 for i in range(batch)])
    optimizer = lib.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return lambda: lib.nn.functional.cross_entropy(model(x), labels), optimizer


def graph(
    place: Place, net: str, batch: int, channels_last: bool
) -> tuple[Callable[[], Any], Callable[[], list[float]]]:  # fmt: skip
    """The step as a CUDA graph, captured after three steps on a side stream, whose losses are the check."""
    torch = place.lib
    forward, optimizer = pieces(place, net, batch, channels_last)
    step = stepping(forward, optimizer)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        losses = [step().item() for _ in range(3)]
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    optimizer.zero_grad()
    with torch.cuda.graph(captured):
        step()
    return captured.replay, lambda: losses


def run(book: Book) -> None:
    """All nets and batches; PyTorch's memory format is the faster one of eager mode. torch.compile comes last."""
    batches = (4,) if book.small else BATCHES
    book.note("float32 on both sides, TF32 off. Memory: the most that the library's allocator held of the GPU.")
    faster: dict[tuple[str, int], bool] = {}
    work = [(net, batch) for batch in batches for net in (NAMES[:2] if book.small else NAMES)]
    with Duel(book) as duel:
        for net, batch in work:
            if enough(book, f"{net} with {batch} images", 4):
                first(book, duel, net, batch, faster)
        for net, batch in work:
            if "torch" in duel.peers and not book.small and enough(book, f"torch.compile of {net}, {batch} images", 15):
                compiled(book, duel, net, batch, faster[net, batch])


def enough(book: Book, what: str, seconds: float) -> bool:
    """Whether there is time for one more row."""
    if book.left() < seconds:
        book.leave_out(what)
    return book.left() >= seconds


def first(book: Book, duel: Duel, net: str, batch: int, faster: dict[tuple[str, int], bool]) -> None:
    """gradflow, PyTorch eager in both memory formats, and its CUDA graph in the faster one."""
    common = {"net": net, "batch": batch}
    entries = [
        Entry("gradflow", "gradflow", __name__, common),
        Entry(PLAIN, "torch", __name__, common),
        Entry(LAST, "torch", __name__, {**common, "channels_last": True}),
    ]
    entries = entries[:2] if net == "mlp" else entries
    timed = duel.run(f"{net}, {batch} images", entries, 0.3)
    ours, eager, last = timed["gradflow"], timed.get(PLAIN), timed.get(LAST)
    ahead = last.over(eager) if last else None
    faster[net, batch] = ahead is not None and ahead < 1
    chosen = last if faster[net, batch] else eager
    graphs = None
    if eager is not None and not book.small:
        again = [
            Entry("gradflow", "gradflow", __name__, common),
            Entry("graph", "torch", __name__, {**common, "way": "graph", "channels_last": faster[net, batch]}),
        ]
        graphs = duel.run(f"{net}, {batch} images, CUDA graph", again, 0.2).get("graph")
    cells: dict[str, Any] = {"net": net, "images": batch, "gradflow ms": ours.ms, "spread": ours.spread}
    cells["images/s"] = batch / ours.seconds if ours.seconds else None
    cells |= {"eager ms": chosen.ms if chosen else None, "ratio": ours.over(chosen)}
    cells |= {"CUDA graph ms": graphs.ms if graphs else None, "graph ratio": ours.over(graphs)}
    cells["PyTorch's format"] = "channels last" if faster[net, batch] else "contiguous"
    cells |= {"gradflow MiB": _mib(ours), "PyTorch MiB": _mib(chosen)}
    errors = [f"{label}: {t.error}" for label, t in {**timed, "graph": graphs or Timed()}.items() if t.error]
    book.add("A training step", {**cells, "remark": "; ".join(errors)[:160]})


def compiled(book: Book, duel: Duel, net: str, batch: int, channels_last: bool) -> None:
    """gradflow beside torch.compile."""
    common = {"net": net, "batch": batch}
    entries = [
        Entry("gradflow", "gradflow", __name__, common),
        Entry("compile", "torch", __name__, {**common, "way": "compile", "channels_last": channels_last}),
    ]
    timed = duel.run(f"{net}, {batch} images, torch.compile", entries, 0.2)
    ours, theirs = timed["gradflow"], timed["compile"]
    cells = {"net": net, "images": batch, "gradflow ms": ours.ms, "compile ms": theirs.ms, "ratio": ours.over(theirs)}
    book.add("torch.compile", {**cells, "remark": (theirs.error or "")[:160]})


def _mib(timed: Timed | None) -> float | None:
    return timed.memory / 2**20 if timed is not None and timed.memory else None
