"""Zero-shot of runs: which classes are unseen, results against zero_shot, the store."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pddm_lite import data as data_sets
from pddm_lite.data.base import ImageSet, fingerprint
from pddm_lite.measures import learned
from pddm_lite.paper import table2
from pddm_lite.paper.table2_transfer import transfers
from pddm_lite.paper.table2_zero_shot import unseen, zero_shot
from pddm_lite.paper.table2_zero_shot.rivals import RIVALS
from pddm_lite.paper.verdict import claims
from pddm_lite.store.errors import UserError
from pddm_lite.training.embedder import embed_images
from pddm_lite.training.study import Study

WNIDS = [f"n0000{c:04d}" for c in range(14)]  # the classes; the last 6 test


def images(name, classes, train, each=2):
    labels = np.repeat(np.arange(len(classes)), each)
    return ImageSet(
        name=name,
        title=name.title(),
        labels=labels,
        class_names=tuple(classes),
        read=lambda i: Image.new("RGB", (8, 8)),
        fingerprint=fingerprint(name, *classes),
        train_classes=train,
    )


def wordnet(root, pairs=None):
    """root -> two kinds -> the classes in turn; as files under root/wordnet."""
    root_node, kinds = "n10000000", ("n10000001", "n10000002")
    if pairs is None:
        pairs = [(root_node, k) for k in kinds]
        pairs += [(kinds[c % 2], wnid) for c, wnid in enumerate(WNIDS)]
    folder = root / "wordnet"
    folder.mkdir()
    (folder / "is_a.txt").write_text("".join(f"{p} {c}\n" for p, c in pairs), encoding="utf-8")
    (folder / "words.txt").write_text(
        "".join(f"{w}\tword of {w}\n" for w in WNIDS), encoding="utf-8"
    )
    return pairs


def features(data, d=6, seed=0):
    """A random mean a class, the same for two classes in turn, with some noise."""
    rng = np.random.default_rng(seed)
    means = 2 * rng.normal(size=(2, d))[np.arange(len(data.class_names)) % 2]
    means = means + rng.normal(size=(len(data.class_names), d))
    f = means[data.labels] + 0.3 * rng.normal(size=(len(data), d))
    return torch.from_numpy(f.astype(np.float32))


# ------------------------------------------------------------------------------ protocols


def test_the_synthetic_worlds_test_species_are_unseen_one_of_each_family():
    data = data_sets.load("synthetic_birds", profile="smoke")
    p = unseen.protocol(data)
    assert p.known.tolist() == list(range(20)) and p.unseen.tolist() == list(range(20, 40))
    (one,) = unseen.draws(p, data.class_names)  # 20 families, one test species of each
    assert one.tolist() == p.unseen.tolist()
    a, b = data.class_names[0], data.class_names[20]  # a family is dealt every 20 species
    assert p.hierarchy.distances([a], data.class_names)[0].tolist().count(2) == 1
    assert p.hierarchy.distances([a], [b]) == 2  # siblings, and the only ones
    assert p.hierarchy.depth[p.hierarchy.place[a]] == 3  # birds, order, family, species


def test_draws_take_each_class_in_turn():
    data = dataclasses.replace(
        data_sets.load("synthetic_birds", profile="smoke"), train_classes=15
    )  # 25 unseen species: five families have two of them
    p = unseen.protocol(data)
    first, second = unseen.draws(p, data.class_names)
    assert len(first) == len(second) == 20
    assert set(first) | set(second) == set(p.unseen.tolist())
    assert len(set(first) & set(second)) == 15
    again = unseen.draws(p, data.class_names)
    assert [d.tolist() for d in again] == [first.tolist(), second.tolist()]


def test_half_of_each_evaluation_alphabet_gives_means():
    names = [f"Latin/{c}" for c in range(4)]
    names += [f"{a}/{c}" for a in ("Greek", "Runes", "Ogham", "Tifinagh", "Glagolitic")
              for c in range(5)]  # fmt: skip
    data = images("omniglot", names, train=4)
    p = unseen.protocol(data)
    assert sorted([*p.known, *p.unseen]) == list(range(4, 29))  # no background character
    for alphabet in range(5):
        own = range(4 + 5 * alphabet, 9 + 5 * alphabet)
        assert sum(c in p.known for c in own) == 3
    for draw in unseen.draws(p, names):
        assert [names[c].split("/")[0] for c in draw] == names_of(names, p)
    assert "background" in p.words and "not trained on" in p.words


def names_of(names, p):
    """Alphabets in the order of the classes, each once."""
    return list(dict.fromkeys(names[c].split("/")[0] for c in p.unseen))


def test_all_test_classes_of_tiny_imagenet_are_unseen_at_once(tmp_path):
    wordnet(tmp_path)
    data = images("tiny_imagenet@8", WNIDS, train=8)
    p = unseen.protocol(data, tmp_path)
    assert p.known.tolist() == list(range(8))
    assert [d.tolist() for d in unseen.draws(p, WNIDS)] == [list(range(8, 14))]


@pytest.mark.parametrize("name", ["cub200_2010", "sop", "folder:mine"])
def test_a_set_without_hierarchy_says_so(name):
    with pytest.raises(unseen.NoZeroShot, match="no hierarchy of its classes is at hand"):
        unseen.protocol(images(name, WNIDS, train=8))


def test_wordnet_is_missing(tmp_path):
    with pytest.raises(unseen.NoZeroShot, match=r"there is no .*wordnet; put .*is_a\.txt"):
        unseen.protocol(images("imagenet", WNIDS, train=8), tmp_path)


def test_too_few_unseen_classes(tmp_path):
    wordnet(tmp_path)
    with pytest.raises(unseen.NoZeroShot, match="3 unseen classes, but .* the 5 best"):
        unseen.protocol(images("tiny_imagenet", WNIDS, train=11), tmp_path)


ROOT, KIND = "n10000000", "n10000001"
BELOW = [(ROOT, KIND), *((KIND, w) for w in WNIDS)]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([p for p in BELOW if p[1] != WNIDS[3]], f"unknown class of WordNet '{WNIDS[3]}'"),
        ([*BELOW, (WNIDS[0], ROOT)], "the is-a pairs run in a circle"),
        (
            [p for p in BELOW if p[1] != WNIDS[9]] + [("n10000009", WNIDS[9])],
            rf"class '{WNIDS[9]}' \(word of {WNIDS[9]}\) has no path to the rest",
        ),
    ],
    ids=["lacking", "circle", "apart"],
)
def test_a_broken_hierarchy_is_one_clear_line(tmp_path, pairs, message):
    wordnet(tmp_path, pairs)
    with pytest.raises(UserError, match=message) as err:
        unseen.protocol(images("tiny_imagenet", WNIDS, train=8), tmp_path)
    assert not isinstance(err.value, unseen.NoZeroShot)  # a notebook must not pass over it
    assert "\n" not in str(err.value)


# -------------------------------------------------------------------------------- results


def test_results_are_those_of_the_functions(tmp_path):
    wordnet(tmp_path)
    data = images("tiny_imagenet", WNIDS, train=8, each=5)
    p, f = unseen.protocol(data, tmp_path), features(data)
    idx = np.random.default_rng(1).permutation(len(data))  # any order
    results, errors = unseen.recognise(data, p, idx, f[idx])
    seen, new = data.labels < 8, data.labels >= 8
    means = torch.stack([f[data.labels == c].mean(0) for c in range(8)])
    task = zero_shot.Task(p.hierarchy, tuple(WNIDS[:8]), tuple(WNIDS[8:]), means)
    asked, y = f[torch.from_numpy(new)], torch.from_numpy(data.labels[new] - 8)
    assert seen.sum() + new.sum() == len(idx)
    for rule in zero_shot.RULES:
        scores = zero_shot.by_means(task, asked, rule)
        want = zero_shot.evaluate(scores, y)
        own = results[(results["by"] == rule) & (results["hierarchy"] == unseen.TRUE)]
        own = own.set_index("k")
        for k in (1, 5):
            assert own.loc[k, "flat"] == pytest.approx(want.flat[k])
        assert own["tied"].tolist() == [6, 6]  # two kinds, three classes each
        mine = errors[(errors["by"] == rule) & (errors["hierarchy"] == unseen.TRUE)]
        pd.testing.assert_frame_equal(
            mine[["distance", "share", "chance"]].reset_index(drop=True),
            zero_shot.error_distances(task, scores, y),
        )


def test_a_shuffled_hierarchy_is_worse_and_rivals_have_a_row_each(tmp_path):
    data = data_sets.load("synthetic_birds", profile="smoke")
    p = unseen.protocol(data)
    # one place a family: what the hierarchy knows is all there is
    place = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 8)))
    f = (place[torch.from_numpy(data.labels % 20)]).float()
    f = f + 0.01 * torch.from_numpy(np.random.default_rng(1).normal(size=f.shape)).float()
    idx = np.arange(len(data))
    results, _ = unseen.recognise(data, p, idx, f)
    top = results[(results["by"] == unseen.RULE) & (results["k"] == 1)]
    flat = top.groupby("hierarchy")["flat"].mean()
    assert flat[unseen.TRUE] > 90 > 40 > flat[unseen.SHUFFLED]
    rivals, errors = unseen.recognise(data, p, idx, f, rivals=True)
    assert set(rivals["by"]) == set(errors["by"]) == set(RIVALS)
    assert (rivals[rivals["k"] == 5]["flat"] > 80).all()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study.of(
        profile="smoke",
        data=["synthetic_birds"],
        methods=["Triplet", "PDDM+Quadruplet"],
        seeds=[0],
        settings=["steps=2", "eval_every=2"],
        variants=[],
        results=str(tmp_path_factory.mktemp("results")),
        device="cpu",
    )


def test_a_study_is_measured_once(study, monkeypatch):
    results, errors = unseen.measured(study, bar=False)
    assert list(results) == unseen.RESULTS and list(errors) == unseen.ERRORS
    ways = set(zip(results["features"], results["seed"], results["by"], strict=True))
    assert ("Triplet", 0, "distinct") in ways and (table2.PLAIN, unseen.NO_SEED, "ConSE") in ways
    data = study.load("synthetic_birds")
    run = study.run("synthetic_birds", "Triplet", 0)
    f = embed_images(run, data, np.arange(len(data)), study.results)
    want, _ = unseen.recognise(data, unseen.protocol(data), np.arange(len(data)), f)
    own = results[results["features"] == "Triplet"]
    np.testing.assert_allclose(own["flat"], want["flat"])
    assert set(own["run"]) == {run.id}
    monkeypatch.setattr(unseen, "recognise", None)  # from the store now, or it fails
    again, _ = unseen.measured(study, bar=False)
    pd.testing.assert_frame_equal(again, results)


def test_the_rival_21_is_its_rule_on_plain_features_under_its_metric(study):
    results, _ = unseen.measured(study, bar=False)
    data = study.load("synthetic_birds")
    p, every = unseen.protocol(data), np.arange(len(data))
    x = transfers.NewClasses(study, "synthetic_birds").plain(data)
    W = table2.learned_metric(study, "synthetic_birds")
    assert W.shape[1] == x.shape[1]
    want, _ = unseen.recognise(data, p, every, x @ W.T)
    own = results[results["features"] == unseen.LEARNED]
    np.testing.assert_allclose(own["flat"], want["flat"])
    plain = results[(results["features"] == table2.PLAIN) & results["by"].isin(zero_shot.RULES)]
    assert not np.allclose(own[own["by"].isin(zero_shot.RULES)]["flat"], plain["flat"])


def test_too_few_source_classes_leave_only_21_out(study, monkeypatch):
    monkeypatch.setattr(learned, "LEAST", 21)
    assert unseen.LEARNED not in {features for _, features, *_ in unseen.work(study)}
    assert table2.PLAIN in {features for _, features, *_ in unseen.work(study)}


def test_a_higher_version_measures_again(study, monkeypatch):
    unseen.measured(study, bar=False)
    monkeypatch.setattr(unseen, "recognise", None)
    monkeypatch.setattr(unseen, "ZERO_SHOT", unseen.ZERO_SHOT + 1)
    with pytest.raises(TypeError):
        unseen.measured(study, bar=False)


def test_a_study_without_hierarchy_gives_empty_tables(study, monkeypatch):
    monkeypatch.setattr(unseen, "SYNTHETIC", {})
    results, errors = unseen.measured(study, bar=False)
    assert results.empty and errors.empty and list(results) == unseen.RESULTS


def test_one_measure_that_cannot_be_made_leaves_the_others(study, monkeypatch):
    said = []
    assert set(claims.table_2(study, said.append)) == {"C14", "C15"} and said == []

    def fail(study, *_):
        raise UserError("3 classes are too few.")

    monkeypatch.setattr(transfers, "measured", fail)
    found = claims.table_2(study, said.append)
    assert said == ["C14 on synthetic_birds is not decided: 3 classes are too few."]
    assert list(found) == ["C15"] and len(found["C15"])
