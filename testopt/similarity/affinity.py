"""How close a change is to each case: words, names, calls, and what git wrote together.

Everything here is relative to the run: a similarity counts as a share of the run's largest, and
as a rank, so that what is learnt on one project holds on another.

Literature: information retrieval for test order, Peng et al. (2020), "Empirically revisiting and
enhancing IR-based test-case prioritization"; names that lead from test to code, White et al.
(2020), "Establishing multilevel test-to-code traceability links"; changes made together,
Zimmermann et al. (2005), "Mining version histories to guide software changes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from testopt.code.words import text_words
from testopt.similarity.bags import Bags, Corpus, log_counts, weighted_sum
from testopt.similarity.call_graph import call_signals
from testopt.similarity.name_texts import name_texts
from testopt.similarity.query import Closeness
from testopt.similarity.texts import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from testopt.similarity.bags import Words
    from testopt.similarity.query import Query
    from testopt.similarity.texts import ChangeText, Texts

    Signals = dict[str, NDArray[np.float64]]

# Signals whose size means something within the run only: taken as share of the maximum and rank.
RELATIVE: Final = (
    "words", "line_words", "line_title", "owner_words", "owner_title", "body_words", "body_title",
    "shared_rarity", "rarest_word", "callers", "callers_title", "lines_said", "owners_said",
    "file_words", "path_words",
    "calls", "call_peak", "called_by_name", "lines_together", "owners_together",
    "lines_together_file", "owners_together_file",
)  # fmt: skip
# Signals that also speak for the neighbours of a case: largest and mean over its class and file.
SPREADING: Final = ("words", "owner_words", "body_words", "calls", "owners_together")
PLAIN: Final = (
    "words", "owner_words", "hops", "hops_more", "import_hops", "same_name", "in_change",
    "file_in_change", "edited", "edited_rank", "siblings", "file_share", "document_words",
    "reach_rank", "effort",
)  # fmt: skip
_NOTHING: Final = 1e-12  # below it a signal is rounding
FIRST: Final = 10  # documents nearest to the change whose words are asked for again, at most
_EQUALS: Final = 4  # times FIRST: more equally near documents tell nothing apart
# Weight of what coverage says, beside 1 for all else. On twelve projects whose coverage was
# measured commits before, .25 to .5 are level; on five of them 1 gains nothing and 2 loses.
_RAN: Final = 0.5
_PERHAPS: Final = 0.5  # for a case that was not measured
_DIGITS: Final = 9  # beyond them sums depend on the order of what is summed
_LESS_IS_NEARER: Final = ("hops", "edited")
# What the model that comes with testopt reads; `LEARNT` is what models of a project read.
NAMES: Final = (
    *(f"{name}_share" for name in RELATIVE),
    *(f"{name}_rank" for name in RELATIVE),
    *(f"{name}_{group}_{how}" for name in SPREADING for group in ("class", "file")
      for how in ("max", "mean")),
    *PLAIN,
    "prior", "feedback", "feedback_rank", "ran_change",
)  # fmt: skip

# Ranks, means over classes and files and the like added nothing beside these (`run_features`).
LEARNT: Final = (
    "words_share", "line_words_share", "owner_words_share", "owner_title_share",
    "body_words_share", "rarest_word_share", "callers_share", "callers_title_share",
    "lines_said_share", "owners_said_share", "file_words_share", "path_words_share",
    "calls_share", "call_peak_share", "called_by_name_share", "lines_together_share",
    "owners_together_share", "words_class_max", "owner_words_class_max",
    "owners_together_class_max", "words", "hops", "import_hops", "same_name", "in_change",
    "file_in_change", "edited", "file_share", "effort", "prior", "feedback", "ran_change",
)  # fmt: skip

# Without any training: a weighted sum of shares. Weights were set by hand on few projects and
# are round on purpose; anything finer is left to a trained model.
PRIOR: Final = {
    "words": 1.0, "edited": 0.5, "lines_together": 0.5, "owners_together": 0.5, "calls": 0.5,
    "import_hops": 0.5, "file_words": 0.5, "lines_said": 0.5, "owners_said": 0.5,
    "owner_title": 0.5, "callers_title": 0.25,
}  # fmt: skip


def closeness_of(query: Query) -> Closeness:
    """Return what the sources say of a run about to start, in numbers.

    Parameters
    ----------
    query : Query
        See `affinity_matrix`.
    """
    if query.closeness is not None:
        return query.closeness
    text, matrix = query.text, affinity_matrix(query, LEARNT)
    if text is None:
        return Closeness(matrix)
    return Closeness(
        matrix, text.change.owner_names, text.all_changed_paths, text.effort[text.document]
    )


def affinity_matrix(query: Query, names: Sequence[str] = NAMES) -> NDArray[np.float32]:
    """Return the features of a run about to start that change and case have in their sources.

    Parameters
    ----------
    query : Query
        With ``text``; without it names and changed files speak, where there are any.
    names : sequence of str
        Some of ``NAMES``.

    Returns
    -------
    ndarray of float32, shape (n_cases, len(names))
        NaN where unknown.
    """
    x = np.full((len(query.cases), len(names)), np.nan, np.float32)
    text = query.text or name_texts(query)
    if text is None or not len(query.cases):
        return x
    columns = features(text)
    for position, name in enumerate(names):
        x[:, position] = columns[name]
    return x


def features(text: Texts) -> Signals:
    """Return all features by name, each of shape (n_cases,).

    Parameters
    ----------
    text : Texts
        Sources of the cases and of the change.
    """
    words = _Words(text, [text.bodies, text.titles])
    raw = {**_word_signals(text, words), **_file_signals(text), **_together(text), **_calls(text)}
    raw["edited"] = text.edited.astype(np.float64)[text.document]
    # what is equal must stay equal, in whatever order cases and words come
    raw = {name: values.round(_DIGITS) for name, values in raw.items()}
    _lift_whole_files(text, raw)
    out: Signals = {}
    for name in RELATIVE:
        out[f"{name}_share"] = share(raw[name])
        out[f"{name}_rank"] = rank(raw[name])
    groups = {"class": text.group[text.document], "file": text.file}
    for name in SPREADING:
        for group, codes in groups.items():
            most, mean = _over_groups(out[f"{name}_share"], codes)
            out[f"{name}_{group}_max"], out[f"{name}_{group}_mean"] = most, mean
    out |= {name: raw[name] for name in ("words", "owner_words")}
    out |= _plain(text, raw)
    out["prior"] = _prior(out)
    again = _feedback(text, words, out["prior"])
    out |= {"feedback": share(again), "feedback_rank": rank(again)}
    if text.weigher is not None:
        out["prior"] = text.weigher.closeness(out)
    out["ran_change"] = np.full(len(text.document), np.nan)
    if text.ran is not None and np.nan_to_num(text.ran).any():
        out["ran_change"] = text.ran.astype(np.float64)
        out["prior"] = with_coverage(out["prior"], out["ran_change"])
    return out


class _Words:
    """The words of cases, each those of its document with its own parameters.

    Parameters
    ----------
    text : Texts
    parts : sequence of Bags
        Words by document, n_documents rows each; the first say how common a word is.
    """

    def __init__(self, text: Texts, parts: Sequence[Bags]) -> None:
        self._text, self._rows = text, len(text.bodies)
        self._corpus = Corpus(Bags.concat([*parts, text.parameters]), common=self._rows)
        self._length = np.sqrt(np.maximum(self._fold(self._corpus.squares), _NOTHING))

    def similarity(self, query: Words) -> NDArray[np.float64]:
        """Return the cosine of each case with a query, shape (n_cases,)."""
        return np.asarray(self._fold(self._corpus.products(query)) / self._length)

    def overlap(self, query: Words) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the summed and the largest rarity of the words shared with a query, by case."""
        rarity, rarest = self._corpus.overlap(query)
        return self._fold(rarity), self._fold(rarest, np.maximum)

    def of(self, document: int) -> Words:
        """Return the words of one document as a query of about length one."""
        row = {**self._text.titles.row(document), **self._text.bodies.row(document)}
        size = max(float(np.sqrt(self._corpus.squares[document])), 1.0)
        return {word: n / size for word, n in log_counts(row).items()}

    def _fold(self, values: NDArray[np.float64], how: Any = np.add) -> NDArray[np.float64]:
        """Bring the rows of a case together: its document's and its own."""
        by_case = values[-len(self._text.document) :]
        for start in range(0, len(values) - len(by_case), self._rows):
            by_case = how(by_case, values[start : start + self._rows][self._text.document])
        return np.asarray(by_case)


def _word_signals(text: Texts, bodies: _Words) -> Signals:
    """Return the similarities of each case's words with those of the change."""
    titles = _Words(text, [text.titles])
    queries = _queries(text.change)
    rarity, rarest = bodies.overlap(text.change.lines)
    return {
        "words": bodies.similarity(queries["all"]),
        "line_words": bodies.similarity(queries["lines"]),
        "line_title": titles.similarity(queries["lines"]),
        "owner_words": bodies.similarity(queries["owners"]),
        "owner_title": titles.similarity(queries["owners"]),
        "body_words": bodies.similarity(queries["around"]),
        "body_title": titles.similarity(queries["around"]),
        "shared_rarity": rarity,
        "rarest_word": rarest,
        "callers": bodies.similarity(text.change.callers),
        "callers_title": titles.similarity(text.change.callers),
        **{f"{part}_said": bodies.similarity(text.change.messages.get(part, {})) for part in PARTS},
    }


def _feedback(text: Texts, bodies: _Words, close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how alike each case is to the documents nearest to the change.

    What those have in common says in the words of tests what the change says in its own: relevance
    feedback (Rocchio 1971), the first answers being taken for good ones.
    """
    best = np.zeros(len(text.bodies))
    np.maximum.at(best, text.document, close - close.min())
    weight = best**2 * _chosen(best)
    near = np.flatnonzero(weight > _NOTHING).tolist()
    found = bodies.similarity(weighted_sum(*((float(weight[i]), bodies.of(i)) for i in near)))
    return np.asarray(found.round(_DIGITS))


def _chosen(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 for the ``FIRST`` largest values and 0 for others; equal ones share what is left.

    Where very many are equal none of them is chosen: they tell nothing apart.
    """
    last = np.sort(values)[-min(FIRST, len(values))]
    out: NDArray[np.float64] = (values > last).astype(np.float64)
    equal = values == last
    if equal.sum() <= _EQUALS * FIRST:
        out[equal] = min((FIRST - out.sum()) / equal.sum(), 1.0)
    return out


def _queries(change: ChangeText) -> dict[str, dict[int, float]]:
    lines, owners, around = (
        log_counts(change.lines),
        log_counts(change.owners),
        log_counts(change.around),
    )
    together = weighted_sum(
        (1.0, lines), (2.0, owners), (0.35, around), (1.0, log_counts(change.paths))
    )
    return {"lines": lines, "owners": owners, "around": around, "all": together}


def _file_signals(text: Texts) -> Signals:
    """Return how alike the test file of each case, and its name, are to the change."""
    queries = _queries(text.change)
    query = weighted_sum((1.0, queries["lines"]), (2.0, dict.fromkeys(queries["owners"], 1.0)))
    named = [_path_words(path) for path in text.paths]
    changed = text.change.paths.keys()
    alike = np.array([len(w & changed) / (1 + len(w)) for w in named] or [0.0])
    stems = {_stem(path) for path in text.change.paths_changed}
    same = np.array([float(_stem(path) in stems) for path in text.paths] or [0.0])
    words = Corpus(text.files).similarity(query)
    return {
        "file_words": words[text.file],
        "path_words": alike[text.file],
        "same_name": same[text.file],
    }


def _path_words(path: str) -> set[int]:
    return set(text_words(path.rpartition(".")[0].replace("test", " ")))


def _stem(path: str) -> str:
    """Return the name of a file without extension, and without what marks a test."""
    stem = path.rpartition("/")[2].partition(".")[0].lower()
    for mark in ("tests", "test", "spec"):
        stem = stem.removeprefix(f"{mark}_").removesuffix(f"_{mark}").removesuffix(mark)
    return stem.strip("_-")


def _together(text: Texts) -> Signals:
    """Return what git says was written together with the changed lines and functions."""
    out: Signals = {}
    for part in PARTS:
        by_document = np.nan_to_num(text.written_with[part].astype(np.float64))
        by_case = by_document[text.document]
        out[f"{part}_together"] = by_case
        out[f"{part}_together_file"] = _over_groups(by_case, text.file)[0]
    return out


def _calls(text: Texts) -> Signals:
    """Return how near the changed functions are to each case through the names that code uses."""
    by_document = call_signals(text.uses, text.code)
    return {name: values[text.document] for name, values in by_document.items()}


def _lift_whole_files(text: Texts, raw: Signals) -> None:
    """Give a case that is a whole file (a collection error) the best of the file's cases."""
    whole_file = text.whole_file
    if not whole_file.any():
        return
    for name, values in raw.items():
        sign = -1.0 if name in _LESS_IS_NEARER else 1.0
        values[whole_file] = sign * _over_groups(sign * values, text.file)[0][whole_file]


def _plain(text: Texts, raw: Signals) -> Signals:
    n = len(text.document)
    paths = set(text.all_changed_paths)
    touched = np.array([float(path in paths) for path in text.paths] or [0.0])
    sizes = np.diff(text.bodies.ends)[text.document]
    return {
        "hops": raw["hops"],
        "hops_more": raw["hops"] - raw["hops"].min(),
        "import_hops": text.import_hops.astype(np.float64)[text.file],
        "same_name": raw["same_name"],
        "in_change": text.in_change.astype(np.float64)[text.document],
        "file_in_change": touched[text.file],
        "edited": raw["edited"],
        "edited_rank": rank(-np.nan_to_num(raw["edited"], nan=1e9)),
        "siblings": np.log(np.bincount(text.document)[text.document]),
        "file_share": np.bincount(text.file)[text.file] / n,
        "document_words": np.log1p(sizes),
        "reach_rank": rank(raw["reach"]),
        "effort": text.effort.astype(np.float64)[text.document],
    }


def _prior(columns: Signals) -> NDArray[np.float64]:
    """Return the untrained blend: of use without any bundle, and a feature of trained models."""
    total = np.zeros(len(columns["words"]))
    for name, weight in PRIOR.items():
        if name == "edited":
            value = share(1.0 / (1.0 + np.nan_to_num(columns[name], nan=1e9)))
        elif name == "import_hops":
            value = columns[name] == 1.0
        else:
            value = columns[f"{name}_share"]
        total += weight * value
    return total / sum(PRIOR.values())


def with_coverage(prior: NDArray[np.float64], ran: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return closeness where it is known which cases ran the change, or ran none of it.

    Parameters
    ----------
    prior : ndarray, shape (n,)
        Closeness without that.
    ran : ndarray, shape (n,)
        Share of the change that each case ran; NaN where it was not measured.
    """
    known = np.where(np.isnan(ran), _PERHAPS, share(ran))
    return np.asarray((prior + _RAN * known) / (1.0 + _RAN))


def share(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return each value as a share of the largest; zeros where there is no positive one."""
    known = np.nan_to_num(np.asarray(values, np.float64))
    most = known.max(initial=0.0)
    return known / most if most > _NOTHING else np.zeros(len(known))


def rank(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rank of each value from 0 (largest) to 1; equal ones share their mean rank."""
    known = np.asarray(values, np.float64)
    last = max(len(known) - 1, 1)
    if known.min(initial=np.inf) == known.max(initial=-np.inf):  # most signals of names are zeros
        return np.full(len(known), (len(known) - 1) / 2 / last)
    _, code, count = np.unique(-known, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count + 1) / 2
    return np.asarray(middle[code] / last)


def _over_groups(
    values: NDArray[Any], codes: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest and the mean value of each one's group."""
    most = np.full(int(codes.max(initial=0)) + 1, -np.inf)
    np.maximum.at(most, codes, values)
    mean = np.bincount(codes, values) / np.maximum(np.bincount(codes), 1)
    return most[codes], mean.round(_DIGITS)[codes]
