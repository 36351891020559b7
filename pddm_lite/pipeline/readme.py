"""What README.md and docs/ say of the committed results: nothing of it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ..methods import METHODS
from ..paper import questions
from ..paper.fig4_convergence import cost
from ..paper.given_space import features
from ..paper.given_space.claims import GIVEN
from ..paper.judge import NOT_ENOUGH, count
from ..paper.verdict import tables
from ..paper.wording import markdown, spread
from ..store.errors import UserError
from . import evidence, found, why
from .report import TABLES

SEEN = (
    "MobileNetV2 of ImageNet may have seen photographs of these classes, and has of all of "
    "Tiny-ImageNet's, so its columns are not about classes new to the network"
)
# kind of table -> how its columns of the paper's numbers begin
PAPER = {"recall": "paper R@1 (", "transfer": "paper ", "zero_shot": "paper "}
APART = {cost.DATA: f"on {cost.DATA}", GIVEN: "in a given space"}  # claims on no data set


def found_in_short() -> str:
    """README.md's sentences on what was found, on three seeds or more."""
    verdicts = list(evidence.judged(fewest=3).values())
    said = found.sentences(verdicts, evidence.collapsed(), evidence.collapsed_on())
    said[:1] = [" ".join([*said[:1], *why.recall_too(evidence.effects())])]
    said[1:2] = [" ".join([*said[1:2], why.in_reach(evidence.recall())])]
    said[-1:] = [" ".join([*said[-1:], *why.on_fixed_features(evidence.fixed(), evidence.world())])]
    return "".join(f"- {line}\n" for line in said)


def reasons() -> str:
    """docs/results.md's part: what was measured of why a claim does not hold."""
    own = list(evidence.judged(fewest=3).values())
    said = [
        " ".join(
            [
                "C1:",
                *found.sentences(own)[-1:],
                *why.on_fixed_features(evidence.fixed(), evidence.world()),
            ]
        )
    ]
    said += [f"C2: {why.by_linear_map(evidence.fixed())}"] * (not evidence.fixed().empty)
    said += [
        f"C10: {why.in_reach(evidence.recall())} {why.softmax(evidence.recall())} "
        f"{why.still_rising(evidence.chosen())} {why.care(own)} {why.pull(evidence.readings())}"
    ]
    drawn = {run for _, made in evidence.studies() for run in made["runs"]}
    text = "".join(f"- {line}\n" for line in said)
    if not (runs := evidence.readings()).empty:
        table = markdown(why.readings(runs[~runs["run"].isin(drawn)]))
        text += (
            "\nSingle readings, no verdicts (least mean distance: of pairs of features, over the "
            f"evaluations of training; near 0 all fell together):\n\n{table}"
        )
    return text


def fixed() -> str:
    """docs/results.md's part: real features that stay fixed while the similarity alone learns."""
    if (own := evidence.fixed()).empty:
        return ""
    return markdown(features.table(own, ["title", "row"]).rename(columns={"title": "data"}))


def claims_in_short() -> str:
    """README.md's table of six claims, on three seeds or more."""
    own = list(evidence.judged(fewest=3).values())
    asked = [v for v in own if v["value"] == v["value"]]  # nan: a side was not run
    left = sum(v["verdict"] == NOT_ENOUGH for v in asked)
    return (
        "In how many comparisons (a data set, frozen or end to end) a claim holds, with the least "
        "and the largest effect; after each claim, in brackets, the effect it asks for. Of all "
        f"{len(asked)} questions, with those that are not shown here, {left} are left open:\n\n"
        + markdown(found.table(own))
    )


def results() -> str:
    """docs/results.md's part: verdicts, Recall@1, Table 2 of the studies of three seeds or more."""
    beside = "the paper's columns are other data and another network:\n"
    titles = [
        t
        for _, made in evidence.studies()
        if len(made["seeds"]) > 2
        for t in made["titles"].values()
    ]
    numbers = {title: f"({n})" for n, title in enumerate(dict.fromkeys(titles), 1)}
    parts = [
        "Data sets, by their numbers in the tables below; real ones with MobileNetV2 of ImageNet, "
        "its features frozen, where nothing else is said:\n",
        *(f"- {number} {title}" for title, number in numbers.items()),
        "",
        f"Test Recall@1 in percent, mean ± standard deviation over seeds; {beside}",
        markdown(_recall()),
    ]
    parts += [
        "Table 2, left: top-1 in percent of the nearest class mean on new classes; "
        f"{SEEN}; {beside}",
        markdown(_across("transfer", "features", "top-1")),
        f"Table 2, right: flat top-5 in percent on classes without an image; {SEEN}; {beside}",
        markdown(_across("zero_shot", "row", "top-5")),
    ]
    parts += _decided(fewest=3, short=True)
    for folder, made in evidence.studies():
        if (path := folder / "tables" / "given_space.csv").exists():
            parts += [
                f"The given space, overlap of the two distributions ({made['title']}):\n",
                markdown(evidence.text(path).rename(columns={"rung": "what learns"})),
            ]
    parts.append(
        "All tables, with commands: [results/reference](../results/reference/README.md).\n"
    )
    return "\n".join(_numbered(line, numbers) for line in "\n".join(parts).splitlines()) + "\n"


def _numbered(line: str, numbers: Mapping[str, str]) -> str:
    """A table's head with titles replaced by their numbers; any other line as it is."""
    if not line.startswith(("| claim", "| method", "| features", "| row")):
        return line
    cells = line.split(" | ")
    for title in sorted(numbers, key=len, reverse=True):  # one may begin as another does
        cells = [c.replace(title, numbers[title]) if c.startswith(title) else c for c in cells]
    return " | ".join(cells)


def _across(kind: str, row: str, value: str) -> pd.DataFrame:
    """A row a method (or sort of features), a column a data set (three seeds or more), the paper's
    own columns last; rows in the order in which the tables name them, not in the ABC's.

    Rows that hang on one seed, ceilings that retraining gives and floors that no method makes are
    left to the whole table of the study.
    """
    columns, printed = {}, {}
    for folder, made in evidence.studies():
        for name, title in made["titles"].items():
            path = folder / "tables" / f"{kind}_{name.replace(':', '-')}.csv"
            if len(made["seeds"]) < 3 or not path.exists():
                continue
            own = evidence.text(path)
            if kind == "transfer":
                title += f", {own['classes'].iloc[0]} new classes"
            own = own[~own[row].str.contains(": |paper's")].set_index(row)
            columns[title] = own[value]
            if kind == "recall":
                start = own.loc[own.index == questions.PDDM, "untrained R@1"]
                columns[title] = pd.concat(
                    [start.rename({questions.PDDM: "untrained head"}), own[value]]
                )
            for c in own.columns[own.columns.str.startswith(PAPER[kind])]:
                half = c.removeprefix(PAPER[kind]).removesuffix(")" * (kind == "recall"))
                printed[f"the paper, {half}"] = own[c][own[c] != ""]
    columns |= printed
    rows = dict.fromkeys(r for column in columns.values() for r in column.index)
    return pd.DataFrame(columns).reindex(rows).fillna("").reset_index(names=row)


def _recall() -> pd.DataFrame:
    """Recall@1 of `_across`, each cell from the study with most seeds; their number in a row."""
    table, held = _across("recall", "method", "R@1").set_index("method"), {}
    for made, raw in evidence.raw_values():
        raw = raw[(raw["split"] == "test") & (raw["ranking"] == raw["method"].map(_ranked_by))]
        for (data, method), own in raw.groupby(["data", "method"]):
            cell = method, made["titles"][data]
            if cell[1] in table and len(own) > held.get(cell, 2):
                table.loc[cell], held[cell] = spread(own["recall_1"], 1), len(own)
    counts = {t: sorted({n for (_, own), n in held.items() if own == t}) for t in table}
    seeds = {t: " or ".join(map(str, n)) for t, n in counts.items()}
    return pd.concat([pd.DataFrame(seeds, ["seeds"]), table]).reset_index(names="method")


def _ranked_by(name: str) -> str:
    return METHODS[name].rank


def everything() -> str:
    """results/reference/README.md's part: all verdicts, then each reference study's tables."""
    parts = _decided(fewest=1)
    for folder, made in evidence.studies():
        parts.append(
            f"#### {made['title']}: {folder.name}\n\n{made['protocol']}.\n\n`{made['command']}`\n"
        )
        for kind in ("recall", "clusters", "transfer", "zero_shot", "ablations"):
            if found := _tables(folder, kind):
                parts += [f"{TABLES[kind]}:\n", *found]
    return "\n".join(parts)


def _decided(fewest: int, short: bool = False) -> list[str]:
    """The table of verdicts on `fewest` seeds or more, and a table of those on no data set."""
    by_data = _verdicts(fewest, short)
    parts = [
        f"Verdicts ({tables.LEGEND}; empty where not asked):\n"
        if short
        else "Verdicts, with effect and 95 % interval over paired seeds and, of Recall@1, AUC and "
        "overlap, over test classes (a seed in which neither side trained is left out):\n"
    ]
    alone = []  # such a claim has no place in a table of a column each
    for data, where in APART.items():
        if data in by_data:
            own = by_data.pop(data)
            two = pd.DataFrame({tables.CLAIM: by_data[tables.CLAIM], where: own})[own != ""]
            by_data = by_data[own == ""]
            alone += [f"And {where}:\n", markdown(two)]
    return [*parts, markdown(by_data), *alone]


def _verdicts(fewest: int, short: bool) -> pd.DataFrame:
    """A row a claim, a column a data set: verdict and effect, of the study with most seeds.

    short: a mark alone.
    """
    cells: dict[str, dict[str, str]] = {}
    for (claim, data), row in evidence.judged(fewest).items():
        effect = row["effect [95 % interval]"]
        of = "world" if data == GIVEN else "seed"
        text = f"**{row['verdict']}**, {effect}, {count(row['seeds'], of)}"
        if short and effect == "none":
            continue
        if short and data != GIVEN:
            text = tables.MARKS[row["verdict"]]
        cells.setdefault(claim, {})[data] = text
    table = pd.DataFrame.from_dict(cells, orient="index").fillna("")
    table = table.loc[sorted(table.index, key=tables.claim_number)]
    titles = dict.fromkeys(t for _, made in evidence.studies() for t in made["titles"].values())
    table = table[[*(t for t in titles if t in table), *(c for c in table if c not in titles)]]
    if short:
        table.index = tables.words_once(table.index)
    return table.reset_index(names=tables.CLAIM)


def recipe() -> str:
    """docs/results.md's part: what each change of the recipe is worth, from the same files."""
    parts = []
    for folder, made in evidence.studies():
        found = _tables(folder, "recipe") + _tables(folder, "quadruplets")
        parts += [f"#### {made['title']}\n\n{made['protocol']}.\n", *found] if found else []
    return "\n".join(parts)


def _tables(folder: Path, kind: str) -> list[str]:
    """The tables of a kind, each under the data set's name where there are several."""
    paths = sorted(folder.glob(f"tables/{kind}_*.csv"))
    return [
        (f"{path.stem.partition('_')[2].replace('_', ' ')}:\n\n" if len(paths) > 1 else "")
        + markdown(evidence.text(path))
        for path in paths
    ]


def times() -> str:
    """docs/speed.md's part: time of a training step, and of the whole of each reference study."""
    path = evidence.REFERENCE / "benchmarks" / "step.csv"
    parts = []
    if path.exists():
        made = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        parts.append(f"`{made['command']}`, {made['cpu']}, one thread, torch {made['torch']}:\n")
        parts.append(markdown(pd.read_csv(path, dtype=str)))
    if (loop := path.with_name("loop.csv")).exists():
        own = evidence.text(loop).set_index("loop").drop(columns="data").T.reset_index(names="")
        parts += ["The whole loop, and what of a step goes where:\n", markdown(own)]
    if (targets := path.with_name("targets.csv")).exists():
        parts += ["What was aimed at, one thread:\n", markdown(evidence.text(targets))]
    rows = []
    for _, made in evidence.studies():
        for s in made["summary"].values():
            what = f"{s['runs_made']} runs made" if s["runs_made"] else "again, from the store"
            row = {"study": made["title"], "what": what}
            row |= {f"{stage} (s)": f"{t:.0f}" for stage, t in s["seconds"].items()}
            row["total (s)"] = f"{s['total_seconds']}"
            row["processes"] = s["jobs"]
            # the rest is the pipeline's: starting, storing, waiting for a stage's last task
            work, held = sum(s.get("work_seconds", {}).values()), s["jobs"]
            if s["runs_made"] and work and held != "cluster":
                row["busy"] = f"{work / held / s['total_seconds']:.0%}"
            row["cpu"] = made["runs_made_with"]["cpu"]
            rows.append(row)
    return "\n".join([*parts, markdown(pd.DataFrame(rows).fillna(""))])


# file -> name of the markers -> what stands between them
GENERATED = {
    "README.md": {"found": found_in_short, "claims": claims_in_short},
    "docs/results.md": {"results": results, "why": reasons, "fixed": fixed, "recipe": recipe},
    "docs/speed.md": {"times": times},
    "results/reference/README.md": {"results": everything},
}


def generated(name: str) -> tuple[str, str]:
    """(text as it is, text with the part between the markers made anew) of a file of GENERATED.

    Raises:
        UserError: the file lacks its markers.
    """
    text = new = (evidence.ROOT / name).read_text(encoding="utf-8")
    for marker, make in GENERATED[name].items():
        begin = f"<!-- {marker}: begin (python -m pddm_lite.pipeline.reference readme) -->"
        end = f"<!-- {marker}: end -->"
        head, _, rest = new.partition(begin)
        _, found, tail = rest.partition(end)
        if not found:
            raise UserError(f"{name} lacks the markers '{begin}' and '{end}'.")
        new = f"{head}{begin}\n\n{make()}\n{end}{tail}"
    return text, new
