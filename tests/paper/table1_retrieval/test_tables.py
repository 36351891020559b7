"""Table 1 and the clusters beside it, on made-up runs."""

from functools import partial

import fakes

from pddm_lite.paper.table1_retrieval import tables

BIRDS = "synthetic_birds"
fake_run = partial(fakes.fake_run, auc=0.9)


def runs(data=BIRDS):
    out = {(data, "Triplet", s): fake_run(40.0 + s) for s in range(3)}
    return out | {(data, "PDDM score", s): fake_run(50.0, score=60.0 + 2 * s) for s in range(3)}


def test_recall_table_ranks_each_method_its_own_way():
    table = tables.recall_table(runs(), BIRDS).set_index("method")
    assert list(table.index) == ["Triplet", "PDDM score"]
    assert table["ranked by"].tolist() == ["distance", "score"]
    assert table["R@1"].tolist() == ["41.0 ± 1.0", "62.0 ± 2.0"]
    assert table["R@32"].tolist() == ["72.0 ± 1.0", "93.0 ± 2.0"]
    assert table["AUC"].tolist() == ["0.900 ± 0.000", "0.950 ± 0.000"]
    assert table[tables.BEFORE].tolist() == [
        "40.0 ± 0.0",
        "",
    ]  # a score has no start to speak of
    assert table["seeds"].tolist() == [3, 3]
    assert table["paper R@1 (CUB-200-2011)"].tolist() == ["36.1", "55.0"]


def test_recall_table_keeps_its_columns_when_empty():
    full, empty = (
        tables.recall_table(runs(), BIRDS),
        tables.recall_table({}, BIRDS),
    )
    assert empty.empty and list(empty.columns) == list(full.columns)
    other = tables.recall_table(runs("folder:own"), "folder:own")
    assert list(other.columns) == [*full.columns[:-1], "paper R@1"]
    assert set(other["paper R@1"]) == {""}


def test_clusters_are_of_features_and_so_of_rows_that_rank_by_distance():
    made = runs()
    for (_, _, seed), run in made.items():
        run.metrics["test"]["distance"] |= {"map_at_r": 10.0 + seed, "nmi": 0.5, "f1": 0.25}
    table = tables.cluster_table(made, BIRDS)
    assert table.values.tolist() == [["Triplet", "11.0 ± 1.0", "0.500 ± 0.000", "0.250 ± 0.000", 3]]
    assert tables.cluster_table({}, BIRDS).empty
