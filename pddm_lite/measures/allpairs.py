"""What is asked of S of all pairs at scale: S itself, and ranks of the best positives.

Everything here is exact. S is computed in strips of rows, its upper triangle only
(S is symmetric): a strip serves the items of its rows and those of its columns, so ranks never form
N x N. On a GPU the strips come from the fused kernel (kernels.py), else from tiles.py.

Every function takes these by name:
    threads: strips worked on at a time on a CPU, by one thread each; None: torch.get_num_threads().
        Never more than there are cores; torch's own threads rest meanwhile, so that the threads
        do not multiply.
    precision: of the matrix products: "float32" (default); "tf32" on a GPU; "bf16" by the fused
        kernel alone.
    kernel: False keeps to torch on a GPU too, as does the environment's PDDM_LITE_KERNEL=0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pddm import PDDM, Euclidean, Similarity
from ..store.cores import cores
from ..store.errors import UserError
from . import kernels
from .retrieval import ranks_by_distance
from .tiles import Pairwise, Products, Tiles

STRIP = 2**24  # scores held at a time, all threads together: 64 MB


def _scorers(similarity, f: Tensor, threads: int, precision: str, kernel: bool) -> list:
    """As many scorers of one similarity as threads: Tiles own buffers, the others share."""
    if isinstance(similarity, PDDM) and kernel and kernels.usable(similarity, f):
        return [kernels.Fused(similarity, f, precision)]
    if precision == "bf16":
        raise UserError(
            "precision 'bf16' is the fused kernel's: PDDM or LMDM in float32 on a GPU with Triton."
        )
    if isinstance(similarity, PDDM):
        first = Tiles(similarity, f)
        return [first] + [Tiles(similarity, f, like=first) for _ in range(threads - 1)]
    kind = Products if isinstance(similarity, Euclidean) else Pairwise
    return [kind(similarity, f)] * threads


@contextmanager
def _settings(similarity: Similarity, f: Tensor, threads: int | None, precision: str):
    """Evaluation mode, the precision's name in torch's words, one torch thread a worker."""
    kernels.check_precision(precision)
    if precision != "float32" and not f.is_cuda:
        raise UserError(f"precision {precision!r} is a GPU's; on a CPU use 'float32'.")
    if threads is not None and threads < 1:
        raise UserError(f"threads: must be at least 1, not {threads}.")
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), similarity.training
    workers = 1 if f.is_cuda else min(threads or before[0], cores())
    in_torch = "highest" if precision == "float32" else "high"  # high: TF32 on a GPU
    try:
        if not f.is_cuda:
            torch.set_num_threads(1)
        torch.set_float32_matmul_precision(in_torch)
        similarity.eval()
        yield workers
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
        similarity.train(before[2])


@contextmanager
def _one_job(similarity: Euclidean, f: Tensor, threads=None, precision="float32", kernel=True):
    """g, whose distances the metric takes; inside, torch's own threads are the workers."""
    if precision == "bf16":
        _scorers(similarity, f, 1, precision, kernel)  # says why not
    with _settings(similarity, f, threads, precision) as workers, torch.no_grad():
        if not f.is_cuda:
            torch.set_num_threads(workers)
        yield Products(similarity, f).g


def _each(work: Callable, jobs: Sequence, scorers: list) -> Iterator:
    """(job, work(scorer, job)) in order; no more results wait than there are scorers."""
    if len(scorers) == 1:
        for job in jobs:
            yield job, work(scorers[0], job)
        return
    free = SimpleQueue()
    for scorer in scorers:
        free.put(scorer)

    @torch.no_grad()  # a mode of its thread
    def one(job):
        scorer = free.get()
        try:
            return work(scorer, job)
        finally:
            free.put(scorer)

    with ThreadPoolExecutor(len(scorers)) as pool:
        waiting = deque()
        for job in jobs:
            waiting.append((job, pool.submit(one, job)))
            if len(waiting) > len(scorers):
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


@torch.no_grad()
def strips(
    similarity: Similarity,
    f: Tensor,
    *,
    threads: int | None = None,
    precision: str = "float32",
    kernel: bool = True,
    rows: int = 0,
    ends: Tensor | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """(a, S[a : a + rows, a : end]) for a = 0, rows, 2 rows, ...: the upper triangle of S.

    Args:
        rows: of a strip, rounded up to whole tiles; 0: as many as keep all strips in 64 MB, at
            most 1/16 of all.
        ends: [N], rising: a strip whose last row is q needs no column from ends[q] on.

    Raises:
        UserError: a score that is not finite (it would rank first).
    """
    n = len(f)
    with _settings(similarity, f, threads, precision) as workers:
        scorers = _scorers(similarity, f, workers, precision, kernel)
        tile = scorers[0].tile
        held = 1 if len(scorers) == 1 else len(scorers) + 1
        fit = min(STRIP // (max(n, 1) * held), n // 16) // tile * tile
        rows = rows + -rows % tile or max(fit, tile)

        def work(scorer, a):
            end = n
            if ends is not None:  # whole tiles, so that a pair's sums are the same in any strip
                end = a - (a - int(ends[min(a + rows, n) - 1])) // tile * tile
            return scorer.strip(a, min(a + rows, n), min(end, n))

        for a, strip in _each(work, range(0, n, rows), scorers):
            if not torch.isfinite(strip.sum()):  # the sum takes no memory
                raise UserError("scores of all pairs: some are not finite.")
            yield a, strip


def all_pairs(similarity: Similarity, f: Tensor, **how) -> Tensor:
    """S [N, N] of all pairs of rows of f [N, d], as similarity.all_pairs, in threads."""
    S = None
    if f.is_cuda:  # in one strip, which is S
        how = {"rows": len(f)} | how
    for a, strip in strips(similarity, f, **how):
        if len(strip) == len(f):
            return strip
        if S is None:
            S = strip.new_empty(len(f), len(f))
        S[a : a + len(strip), a:] = strip
        S[a:, a : a + len(strip)] = strip.T
    return f.new_empty(0, 0) if S is None else S


def ranks_of_best_positive(similarity: Similarity, f: Tensor, labels: Tensor, **how) -> Tensor:
    """Rank [N] (1 = first) of each item's most similar item of its class; 0 where it has none.

    As retrieval.ranks_of_best_positive on S, without S: two passes over the items
    sorted by class. The best positive lies in a band beside the diagonal; then the negatives at
    least as similar are counted, ties too. (With a PDDM unit exact duplicates tie where d is a
    multiple of 8: at other d the CPU's matrix product rounds by position, as it does in S.)
    """
    if isinstance(similarity, Euclidean):
        with _one_job(similarity, f, **how) as g:
            return ranks_by_distance(g, labels)
    n = len(f)
    order = labels.argsort(stable=True)
    f, y, ends = f[order], labels[order], None
    if isinstance(similarity, PDDM):
        # filled up to whole tiles: at their size a pair's sums are the same wherever it lies, so
        # that exact duplicates tie; other similarities do not promise that in a shorter strip
        fill = -n % (256 if f.is_cuda else 32)
        f = F.pad(f, (0, 0, 0, fill))
        ends = F.pad(torch.searchsorted(y, y, right=True), (0, fill), value=n).cpu()
    best, count = None, torch.zeros(n, dtype=torch.long, device=labels.device)
    for a, strip in strips(similarity, f, ends=ends, **how):
        if best is None:
            best = strip.new_full((n,), -torch.inf)
        strip = strip[: n - a, : n - a]
        t, end = len(strip), a + strip.shape[1]
        strip[:, :t].fill_diagonal_(-torch.inf)
        strip.masked_fill_(y[a : a + t, None] != y[None, a:end], -torch.inf)
        best[a : a + t] = torch.maximum(best[a : a + t], strip.amax(1))
        best[a:end] = torch.maximum(best[a:end], strip.amax(0))
    for a, strip in strips(similarity, f, **how):
        strip = strip[: n - a, : n - a]
        t = len(strip)
        negative = y[a : a + t, None] != y[None, a:]
        count[a : a + t] += ((strip >= best[a : a + t, None]) & negative).sum(1)
        count[a + t :] += ((strip >= best[None, a:]) & negative)[:, t:].sum(0)
    ranks = torch.empty_like(count)
    ranks[order] = torch.where(best == -torch.inf, 0, 1 + count)
    return ranks
