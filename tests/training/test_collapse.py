"""The collapse watch: what it calls a collapse, after how long, and what is none."""

import math

import pytest

from pddm_lite.training.collapse import CollapseWatch

FINE = dict(loss=0.7, score_range=0.3, dead_share=0.1, mean_distance=1.2, val_recall_1=60.0)
SIGNS = [
    ({"score_range": 1e-7}, "one score to every pair (range 1.0e-07)"),
    ({"dead_share": 0.97}, "97% of the units of one of its layers are dead"),
    ({"mean_distance": 0.01}, "all features fell together (mean distance 0.010)"),
    ({"val_recall_1": 29.0}, "held-out Recall@1 fell to 29.0 % from 60.0 % at the start"),
    ({"loss": 2.001, "dead_share": 0.97}, "the loss stands at its plateau 2"),
]


@pytest.mark.parametrize(("sign", "words"), SIGNS)
@pytest.mark.parametrize("patience", [1, 3])
def test_the_collapse_watch_waits_for_its_patience_and_forgets_a_recovery(sign, words, patience):
    watch = CollapseWatch(plateau=2.0, patience=patience)
    bad = FINE | sign
    watch.see({"step": 0} | FINE)
    for n in range(patience):
        assert watch.message == ""
        watch.see({"step": 10 + n} | bad)
    assert watch.message.startswith("collapsed from step 10: ") and words in watch.message
    watch.see({"step": 50} | FINE)
    assert watch.message == ""  # recovered
    for n in range(patience):
        assert watch.message == ""
        watch.see({"step": 60 + n} | bad)
    assert watch.message.startswith("collapsed from step 60: ") and words in watch.message
    watch.see({"step": 90} | bad)
    assert watch.message.startswith("collapsed from step 60: ")


def test_signs_just_inside_their_bounds_and_unknown_values_are_no_collapse():
    watch = CollapseWatch(plateau=2.0, patience=1)
    for change in (
        {"score_range": 2e-3},
        {"score_range": math.nan},  # a rival without mining
        {"dead_share": 0.95},
        {"mean_distance": 0.06},
        {"val_recall_1": 31.0},
        # the plateau alone is none: with all pairs mined a sound run may stand there
        {"loss": 2.0},
    ):
        watch.see({"step": 1} | FINE | change)
        assert watch.message == "", change
    lifted = CollapseWatch(plateau=math.nan, patience=1)
    lifted.see({"step": 1} | FINE)
    assert lifted.message == ""


def test_several_signs_are_told_together():
    watch = CollapseWatch(plateau=2.0, patience=2)
    watch.see({"step": 5} | FINE | {"dead_share": 1.0})
    watch.see({"step": 6} | FINE | {"score_range": 0.0, "mean_distance": 0.0})
    assert watch.message == (
        "collapsed from step 5: the similarity gives one score to every pair (range 0.0e+00); "
        "all features fell together (mean distance 0.000)"
    )
