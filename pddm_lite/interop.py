"""The unit inside pytorch-metric-learning: a distance, a miner, nearest neighbours, accuracies.

    distance = SimilarityDistance(PDDM(128))                  # larger is more similar
    loss = losses.TripletMarginLoss(0.1, distance=distance)   # its parameters are the unit's
    miner = QuadrupletMiner(distance)                         # the recipe's quadruplets
    tester = testers.GlobalEmbeddingSpaceTester(accuracy_calculator=ScoreAccuracy(distance))

`PDDMLoss` (layer.py) goes into its trainers as it is. `PairDistance`, for open-metric-learning's
PairwiseReranker, is in layer.py too and needs neither library to be imported.

Margins are the other way round with a similarity: ContrastiveLoss(pos_margin=1, neg_margin=0) wants
positive pairs above 1 and negative ones below 0. S has no fixed range: choose margins for that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .layer import class_numbers, in_type_of
from .mining import hard_quadruplets
from .pddm import Similarity, r
from .store.errors import UserError

try:
    from pytorch_metric_learning.distances import BaseDistance
    from pytorch_metric_learning.miners import BaseMiner
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN
except ImportError:
    raise ImportError(
        "pddm_lite.interop needs pytorch-metric-learning: pip install 'pddm-lite[pml]'."
    ) from None


class SimilarityDistance(BaseDistance):
    """A Similarity as pytorch-metric-learning's distance (is_inverted: larger is more similar).

    Where gradient is asked for, every pair of the batch carries it, m x m x d numbers, as that
    library's losses ask for the whole matrix (PDDMLoss does not). Elsewhere scores are exact, tiled
    and without dropout.

    Args:
        similarity: PDDM, LMDM or another; its parameters become the loss's.
        normalize_embeddings: False for features that are free.
        tile: side of the tiles of pairs where query and reference differ; 0: 32 on a CPU, 256 else.
    """

    def __init__(self, similarity: Similarity, normalize_embeddings: bool = True, tile: int = 0):
        super().__init__(normalize_embeddings=normalize_embeddings, is_inverted=True)
        self.similarity, self.tile = similarity, tile

    def maybe_normalize(self, embeddings: Tensor, dim: int = 1, **kwargs) -> Tensor:
        """Embeddings of any float type in the unit's, of unit length unless they are free."""
        return super().maybe_normalize(in_type_of(self.similarity, embeddings), dim, **kwargs)

    def normalize(self, embeddings: Tensor, dim: int = 1, **kwargs) -> Tensor:
        return r(embeddings)  # PML's own gives nan for a zero vector in half precision

    def forward(self, query_emb: Tensor, ref_emb: Tensor | None = None) -> Tensor:
        """S [q, r] of all queries with all references; with the queries themselves if None."""
        # losses and miners hand the batch in twice; known as one, each pair is scored once
        return super().forward(query_emb, None if ref_emb is query_emb else ref_emb)

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        wanted = (query_emb, ref_emb, *self.similarity.parameters())
        if torch.is_grad_enabled() and any(x.requires_grad for x in wanted):
            return self._scored(query_emb, ref_emb)
        if ref_emb is query_emb:
            return self.similarity.all_pairs(query_emb)
        return self._tiled(query_emb, ref_emb)

    def pairwise_distance(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        """S [n] of row i of the one with row i of the other; carries gradient."""
        return self.similarity(*(in_type_of(self.similarity, x) for x in (query_emb, ref_emb)))

    def _scored(self, q: Tensor, ref: Tensor) -> Tensor:
        n, m = len(q), len(ref)
        if ref is q:  # S is symmetric, with dropout too if each unordered pair is scored once
            i, j = torch.triu_indices(n, n, device=q.device)
            at = torch.empty(n, n, dtype=torch.long, device=q.device)
            at[i, j] = at[j, i] = torch.arange(len(i), device=q.device)
            return self.similarity.pairs(q, i, j)[at]
        i, j = _grid(n, m, q.device)
        return self.similarity.pairs(torch.cat([q, ref]), i, j).view(n, m)

    def _tiled(self, q: Tensor, ref: Tensor) -> Tensor:
        tile = self.tile or (256 if q.is_cuda else 32)
        S = q.new_empty(len(q), len(ref))
        training = self.similarity.training
        self.similarity.eval()
        try:
            for a in range(0, len(q), tile):
                for b in range(0, len(ref), tile):
                    S[a : a + tile, b : b + tile] = self._scored(q[a : a + tile], ref[b : b + tile])
        finally:
            self.similarity.train(training)
        return S


def _grid(n: int, m: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row numbers of all n x m pairs in n rows above m rows: two index tensors [n m]."""
    i, j = torch.arange(n, device=device), torch.arange(n, n + m, device=device)
    return i.repeat_interleave(m), j.repeat(n)


class QuadrupletMiner(BaseMiner):
    """PDDM's quadruplets (mining.hard_quadruplets) in pytorch-metric-learning's tuples.

    A quadruplet (i, j, k, l) is the positive pair (i, j), from both its ends, with a negative of
    each: positives (i, j), (j, i); negatives (i, k), (j, l). Both ends, so that a loss
    that makes triplets or rows of the pairs (its anchors are the first of each) sees both headers.

    Args:
        distance: a SimilarityDistance; its unit mines, without dropout.
        number: quadruplets a batch: 0, the default recipe's, for every positive pair; 1 as in the
            paper; or q.
        negatives: "semihard", the default recipe's, or "hardest" as in the paper.
        triplets: return (anchor, positive, negative) = (i, j, k), (j, i, l) in place of the pairs.
            TripletMarginLoss(alpha, distance=distance, reducer=SumReducer()) on them is E_m,
            unscaled, summed over the quadruplets; of pairs it makes every combination.

    A batch without a positive or without a negative pair gives no tuple, and so a loss of 0.

    Trap: pytorch-metric-learning's pair losses return 0 for one positive and one negative pair. A
    quadruplet is two of each and so is never lost.
    """

    def __init__(
        self,
        distance: SimilarityDistance,
        number: int = 0,
        triplets: bool = False,
        negatives: str = "semihard",
    ):
        if not isinstance(distance, SimilarityDistance):
            raise UserError(
                f"QuadrupletMiner needs distance=SimilarityDistance(unit), not {distance!r:.60}."
            )
        super().__init__(distance=distance)
        self.number, self.triplets, self.negatives = number, triplets, negatives

    def forward(self, embeddings, labels, ref_emb=None, ref_labels=None):
        """The tuples of a batch: embeddings [m, d], labels [m] in a tensor, an array or a list."""
        labels = class_numbers(labels, embeddings.device)
        return super().forward(embeddings, labels, ref_emb, ref_labels)

    def mine(self, embeddings, labels, ref_emb, ref_labels):
        if ref_emb is not embeddings:
            raise UserError("QuadrupletMiner mines within one batch: leave ref_emb out.")
        unit, training = self.distance.similarity, self.distance.similarity.training
        unit.eval()
        try:
            f = self.distance.maybe_normalize(embeddings)
            i, j, k, l, _, _ = hard_quadruplets(f, labels, unit, self.number, self.negatives)
        except ValueError:  # no positive or no negative pair
            return (labels.new_empty(0, dtype=torch.long),) * (3 if self.triplets else 4)
        finally:
            unit.train(training)
        a, p, n = torch.cat([i, j]), torch.cat([j, i]), torch.cat([k, l])
        return (a, p, n) if self.triplets else (a, p, a, n)


class _Finite:
    """A distance whose matrix must be finite, as CustomKNN asks it: topk takes NaN for the best."""

    def __init__(self, distance: BaseDistance):
        self.distance, self.is_inverted = distance, distance.is_inverted

    def __call__(self, query: Tensor, reference: Tensor) -> Tensor:
        S = self.distance(query, reference)
        if not torch.isfinite(S.sum()):  # the sum takes no memory
            raise UserError("nearest neighbours: some scores are not finite.")
        return S


class ScoreKNN(CustomKNN):
    """Nearest neighbours by score: CustomKNN that keeps no graph and holds `most` scores at most.

    CustomKNN asks a learned distance with gradient and so keeps the graph of every pair; this one
    asks without. Up to `most` scores come from one matrix, each pair scored once where the queries
    are the references; more come some queries at a time. 2^26 scores are 256 MB.

    Raises:
        UserError: scores that are not finite (they would rank first).
    """

    def __init__(self, distance: BaseDistance, most: int = 2**26):
        super().__init__(distance)
        self.most = most

    @torch.no_grad()
    def __call__(self, query, k, reference, ref_includes_query=False):
        if ref_includes_query and torch.equal(query, reference):
            reference = query
        rows = max(self.most // len(reference), 1)
        knn = CustomKNN(_Finite(self.distance), rows if rows < len(query) else None)
        return knn(query, k, reference, ref_includes_query)


class ScoreAccuracy(AccuracyCalculator):
    """AccuracyCalculator by a distance's neighbours, whatever the labels are.

    AccuracyCalculator casts labels to float32, where numbers above 2^24 collide; here classes are
    numbered from 0 first.

    Args:
        distance: a SimilarityDistance, or any distance of pytorch-metric-learning.
        include: measures; by default those that need no more neighbours than the largest class has
            images, which is then k. Others rank everything: k is None, as usual there.
        kwargs: as AccuracyCalculator takes. Its NMI and AMI need faiss.
    """

    BY_CLASS_SIZE = ("precision_at_1", "r_precision", "mean_average_precision_at_r")

    def __init__(self, distance: BaseDistance, include: tuple = BY_CLASS_SIZE, **kwargs):
        few = include and set(include) <= set(self.BY_CLASS_SIZE)
        kwargs.setdefault("k", "max_bin_count" if few else None)
        kwargs.setdefault("knn_func", ScoreKNN(distance))
        if parameters := list(distance.parameters()):  # its default would be any GPU that is there
            kwargs.setdefault("device", parameters[0].device)
        super().__init__(include, **kwargs)
        self.renumber = not kwargs.get("label_comparison_fn")  # which may want the numbers

    def get_accuracy(
        self, query, query_labels, reference=None, reference_labels=None, *args, **kwargs
    ):
        """As AccuracyCalculator.get_accuracy: {measure: value from 0 to 1}."""
        if self.renumber:
            both = [
                class_numbers(x, "cpu") for x in (query_labels, reference_labels) if x is not None
            ]
            _, numbers = torch.unique(torch.cat(both), return_inverse=True)
            query_labels, *rest = numbers.split([len(x) for x in both])
            reference_labels = rest[0] if rest else None
        return super().get_accuracy(
            query, query_labels, reference, reference_labels, *args, **kwargs
        )
