# ruff: noqa: RUF001 - words of many languages
"""What the message of a commit and its files say for and against its being a fix.

Every fact is a short text, such as ``s:crash`` (a word of the subject), ``b:instead of`` (a pair of
words of the body), ``p:test and code`` (files) or ``d:added 2-3`` (lines of program), so that a
weight can be read and a verdict explained. Common words of other languages stand for the English
ones, whose weights they share.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from testopt.code.paths import is_code, is_test_path, language_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class EditedFile(Protocol):
    """A file that a commit changed: its path now, and its lines (None: binary, or not known)."""

    @property
    def path(self) -> str:
        """Path with forward slashes."""

    @property
    def added(self) -> int | None:
        """Lines added."""

    @property
    def deleted(self) -> int | None:
        """Lines deleted."""


class FileCounts(NamedTuple):
    """The least that an `EditedFile` is."""

    path: str
    added: int | None = None
    deleted: int | None = None


MAX_READ: Final = 2_000  # characters of the body that are read
MAX_BODY: Final = 150  # words of the body that are read
_I: Final = re.IGNORECASE
_AREA: Final = re.compile(r"^(?:\[[^\]]*\]\s*)*(?:[\w./*+,{}() -]{1,60}?:\s+)*")
_PATCH_NUMBER: Final = re.compile(r"\(#\d+\)\s*$")
_TRAILER: Final = re.compile(
    r"^([A-Z][A-Za-z]+(?:-[A-Za-z]+)+|Cc|CC|Bug|Link|Acked|Ref|Refs): (.*)$"
)
_TOLD_BY: Final = re.compile(r"^(?:reported|suggested|found|debugged|diagnosed)-?(?:by|at)?$", _I)
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_ISSUE: Final = re.compile(
    r"(?:\B#|\bgh-|https?://\S+/(?:issues?|bugs?|tickets?|show_bug\.cgi\?id=)/?)\d+", _I
)
_URL: Final = re.compile(r"https?://\S+")
TRACKED: Final = re.compile(
    r"\b(?:bug|bz|rhbz|rhbug|bugzilla|issue|ticket|lp)[ :#]{1,2}\d+|\b[A-Z]{2,10}-\d+\b"
    r"|\bT\d{4,}\b",
    _I,
)
_ISSUE_FILE: Final = re.compile(r"(?:issue|bug|gh|ticket|regress)[-_]?\d+", _I)
_NAME: Final = re.compile(r"\b\w*(?:_\w+|[a-z][A-Z]\w*|\w\(\))\S*|\b0x[0-9a-f]+\b")
_CODE_LINE: Final = re.compile(r"^(?:\s{4,}|\t|>|\||[#*]\d)")
_CLOSED: Final = (
    r"(?:(?:issues?|bugs?|tickets?)\s*)?(?:#|gh-|[a-z][\w.-]*/[\w.-]+#|https?://\S+/)\d+"
)
FAILURE: Final = re.compile(
    r"\bbug(?:s|gy|fix(?:es)?)?\b|\bcrash\w*|\bsegfault\w*|\bregress\w*|\bdefects?\b"
    r"|\bfault(?:s|y)?\b"
    r"|\bcoverity\b|\bcppcheck\b|\bvalgrind\b|\b(?:a|ub|t|m)san\b|\bfuzz(?:er|ing)\b"
    r"|\bdead-?lock\w*|\brace condition|\b(?:memory|resource) leaks?|\bleaks?\b|\binfinite loop"
    r"|\b(?:null ?pointer|npe|nullref\w*)\b|\boverflow\w*|\buse[- ]after[- ]free"
    r"|\bbroken?\b|\bbroke\b|\bincorrect\w*|\bwrong(?:ly)?\b|\bexception\b|\bhangs?\b|\bvulnerab\w*|\bcve-\d|\bxss\b",
    _I,
)
REPAIR: Final = re.compile(
    r"\b(?:bug|hot|quick)?-?fix(?:e[sd]|ing)?\b(?![- ](?:width|size|point|length|seed)\b)"
    r"|\brepair(?:s|ed|ing)?\b|\bcorrect(?:s|ed|ing|ly)?\b|\bresolv(?:e[sd]?|ing)\b"
    r"|\bwork-?around\b|\b(?:wh)?oops\b|\bunbreak\b|\bregression\b"
    r"|\badd(?:ed|s)? missing (?:import|check|return|include|call|await)"
    r"|\bforg[eo]t(?:ten)?\b|\bprevent(?:s|ed|ing)?\b|\bavoid(?:s|ed|ing)?\b|\bproperly\b"
    r"|\b(?:don'?t|do not|stop) (?:crash|fail|rais|throw|hang|break)\w*",
    _I,
)
TRIVIAL: Final = re.compile(
    r"\bauto(?:matic(?:ally)?)?[- ]?(?:fix|format|correct)\w*|\bpre-commit\b"
    r"|\bfix\w* (?:the )?(?:build|compilation|ci|style|warnings?)\b"
    r"|\btypos?\b|\bspelling\b|\bgrammar\b|\bmisspell\w*|\bwhite-?spaces?\b|\bindent\w*"
    r"|\b(?:re-?)?format(?:ting|ted)?\b(?=\s*(?:$|code|files?|source|fix|issues?|of\b|in\b))"
    r"|\bcod(?:e|ing) style\b|\bstyle (?:fix|issue|error)\w*|\bfix(?:e[sd])? style\b|\blint\w*\b"
    r"|\bpep-?8\b|\bflake8\b|\bpylint\b|\beslint\b|\bjshint\b|\bcheckstyle\b|\brubocop\b"
    r"|\bcomments?\b(?=\s*(?:$|in\b|for\b|typo|fix))|\bdoc(?:s|string)?s?\b|\bdocumentation\b"
    r"|\bjavadocs?\b|\bread-?me\b|\bchange-?log\b|\brelease notes\b|\bcopyright\b|\blicen[cs]e\b"
    r"|\btranslations?\b|\b(?:bump|release) v?\d"
    r"|\b(?:fix|repair)\w* (?:\w+ ){0,2}(?:(?:unit ?|doc)?tests?|examples?)\b"
    r"|\bbuild (?:error|failure|fix|break)\w*"
    r"|\bfix\w* (?:\S+ ){0,3}(?:builds?|compil\w+|merges?)(?: (?:errors?|failures?|issues?))?\W*$"
    r"|\bdocker build\b|\bimport paths?\b|\bcs[- ]fixer\b|\bphpcs\b|\bcompiler warnings?\b"
    r"|\btravis\b|\bgithub actions?\b|\bcoverage\b|\bsemicolons?\b(?! (?:bug|crash))",
    _I,
)
NOT_A_FIX: Final = re.compile(
    r"\b(?:bug|issue) (?:template|report|tracker)|\bfix(?:ed)?[- ](?:width|size|point|length)"
    r"|\berror (?:messages?|pages?|handling)\b.*\b(?:add|improve)|^(?:add|improve|implement)\b.*"
    r"\berror (?:messages?|pages?|handling)\b|^merge\b|^bump\b|^release\b|^version\b"
    r"|^update changelog",
    _I,
)
FEATURE: Final = re.compile(
    r"^(?:\W*\w+:\s*)?(?:add|implement|introduc|support|allow|new|feature|enh\b|enhance|improve)",
    _I,
)
CLOSES: Final = re.compile(rf"\b(fix(?:e[sd])?|close[sd]?|resolve[sd]?):?\s+{_CLOSED}", _I)
BODY_FIX: Final = re.compile(
    r"\b(?:fix(?:e[sd])?|solve[sd]?|resolve[sd]?|correct(?:s|ed)?)\s+(?:\w+\s+){0,3}?"
    r"(?:bug|crash|regression|error|issue|problem|failure|leak|defect)",
    _I,
)
_BUILD: Final = re.compile(
    r"(?:^|/)(?:\.github/|\.travis|\.gitlab-ci|\.circleci/|\.?appveyor|azure-pipelines|jenkinsfile|"
    r"makefile|cmakelists|configure\.|meson\.build|setup\.(?:py|cfg)|pyproject|tox\.ini|build\.xml|"
    r"package(?:-lock)?\.json|yarn\.lock|requirements|gemfile|pom\.xml|build\.gradle|dockerfile|"
    r"\.pre-commit|cargo\.(?:toml|lock)|go\.(?:mod|sum)|composer\.(?:json|lock)|gulpfile|"
    r"[^/]+\.(?:gemspec|csproj|vcxproj|sln|cmake|mk|m4|am)$)",
    _I,
)
_EXAMPLE: Final = re.compile(
    r"(?:^|/)(?:examples?|samples?|demos?|tutorials?|benches|benchmarks?)/", _I
)
_CHANGE_LOG: Final = re.compile(r"(?:^|/)(?:change|news|history|release)[\w-]*(?:\.\w+)?$", _I)
_LINES: Final = (0, 1, 3, 8, 20, 60, 200)  # at which a number of lines is told as another one
_WORDS_OF_SUBJECT: Final = (2, 5, 9)
_WORDS_OF_BODY: Final = (0, 10, 40)
_ENDINGS: Final = (("ing", 3), ("ed", 3), ("es", 4), ("s", 3), ("ly", 4))
_SHORT: Final = 4  # letters of a word that keeps its last one
_STEMS_KEPT: Final = 16_384
_ALIKE: Final = 0.15  # share by which lines added and deleted may differ and be as many
_MUCH: Final = 3

# Beginnings of words of German, French, Spanish, Portuguese, Russian, Chinese and Japanese, by the
# English word that they stand for.
_FOREIGN: Final = {
    "fix": (
        "beheb behob fixt gefixt korrigier repariert bereinig korrektur corrig corrección arregl "
        "repara réparation réparé conserta correç correcoes correcao résou résol soluci исправ "
        "почин устран фикс поправ скоррект 修复 修正 解决 直し 直す 直した 対応漏れ"
    ),
    "bug": (
        "fehler erreur bogue fallo errores anomalie баг ошибк дефект неисправ 缺陷 错误 问题 报错 "
        "バグ 不具合 エラー 誤り 問題 ミス"
    ),
    "crash": (
        "absturz abstürz plantage bloqueo travamento падени краш вылет зависан 崩溃 闪退 死锁 "
        "クラッシュ 落ちる 異常終了"
    ),
    "exception": "исключени 异常 例外",
    "leak": "утечк 泄漏 泄露 リーク",
    "wrong": (
        "falsch fehlerhaft incorrecte erroné errado mauvais неправильн неверн некоррект "
        "不正确 不对 間違 誤って"
    ),
    "correct": "korrekt 正しく 正确",
    "missing": "fehlt fehlend manquant faltante faltando отсутству 漏れ 缺少 遗漏",
    "forgot": "vergess oubli olvid esquec забы 忘れ 忘记",
    "fails": "schlägt scheiter échou 失败 失敗",
    "cannot": "无法 できない 不能",
    "broken": "kaputt 失效",
    "prevent": (
        "verhinder vermeid évite empêche evita previene предотвра 避免 防止 防ぐ しないように"
    ),
    "message": "fehlermeld",
    "adjust": "anpass ajust 调整",
    "change": "änder geändert modifi alter измен 修改 変更",
    "add": "hinzugefügt hinzufüg ergänz ajout añad agrega adiciona добав 添加 新增 增加 追加",
    "update": "aktualisier actualiz atualiz обнов 更新 升级 アップデート",
    "remove": "entfern gelöscht supprim elimina remov удал 删除 移除 削除",
    "improve": "verbesser optimier amélior mejora melhora улучш оптимиз 优化 改进 改善",
    "documentation": "dokumentation documentación documentação документац 文档 注释 ドキュメント",
    "typo": "tippfehler rechtschreib errata опечатк 错别字 错字 拼写 誤字 タイポ スペルミス",
    "test": "prueba тест 测试 单元测试 テスト",
    "refactor": "refaktor refactoris refactoriz refator рефактор 重构 リファクタ",
    "merge": "zusammenführ fusionn слияни 合并 マージ",
}
_WHOLE: Final = {"erro": "bug", "erros": "bug"}  # "error" begins so, too
_BEGINNINGS: Final = {
    beginning: english
    for english, beginnings in _FOREIGN.items()
    for beginning in beginnings.split()
}
_MIN_BEGINNING: Final = 3  # letters by which a foreign word is looked up first
_BY_START: Final = {
    start: sorted((b for b in _BEGINNINGS if b.startswith(start)), key=len, reverse=True)
    for start in {b[:_MIN_BEGINNING] for b in _BEGINNINGS if len(b) >= _MIN_BEGINNING}
}
_FIRST_CJK: Final = "\u2e80"
# languages that write no spaces between words
_UNSPACED: Final = re.compile(
    "|".join(re.escape(b) for b in sorted(_BEGINNINGS, key=len, reverse=True) if b[0] >= _FIRST_CJK)
)


def message_facts(message: str, files: Sequence[EditedFile]) -> dict[str, str]:
    """Return the facts by which a commit is judged.

    Parameters
    ----------
    message : str
        The whole message.
    files : sequence of EditedFile
        What it changes.

    Returns
    -------
    dict of str to str
        Each with the words as they were written, if it is of words: ``v:`` first word of the
        subject, ``s:`` words and pairs of words of the subject, ``b:`` of the body, ``k:`` kinds of
        words, ``n:`` how many words, ``t:`` what trailers say, ``p:`` kinds and number of files,
        ``d:`` lines of the program that were added and deleted, and tests, ``l:`` its language.
    """
    subject, _, body = message.strip().partition("\n")
    subject = in_english(subject)
    prose, trailers = _without_trailers(body[:MAX_READ])
    title = _words(_PATCH_NUMBER.sub("", _AREA.sub("", subject, count=1) or subject))
    text = _words(prose)[:MAX_BODY]
    facts = {f"v:{_stem(title[0])}": title[0]} if title else {}
    facts.update(_grams("s:", title))
    facts.update(_grams("b:", text))
    paths = [file.path for file in files]
    for found in (
        trailers,
        _path_facts(paths),
        _line_facts(files),
        _kinds_of_words(subject, prose),
    ):
        facts.update(dict.fromkeys(found, ""))
    facts[f"n:subject {_size(len(set(title)), _WORDS_OF_SUBJECT)}"] = ""
    facts[f"n:body {_size(len(set(text)), _WORDS_OF_BODY)}"] = ""
    return facts


def _kinds_of_words(subject: str, prose: str) -> Iterator[str]:
    """Yield which kinds of words a message holds; they weigh more than each word alone."""
    kinds = {
        "repair": REPAIR.search(subject),
        "failure": FAILURE.search(subject),
        "triviality": TRIVIAL.search(subject),
        "no fix": NOT_A_FIX.search(subject),
        "new": FEATURE.match(subject),
        "a repaired failure": REPAIR.search(subject) and FAILURE.search(subject),
        "a closed issue": closed_issue(f"{subject}\n{prose}"),
        "failure below": FAILURE.search(prose),
        "a repaired failure below": BODY_FIX.search(prose),
    }
    yield from (f"k:{kind}" for kind, found in kinds.items() if found)


def closed_issue(text: str) -> str:
    """Return the words by which a text closes an issue, in English; empty where it closes none."""
    for line in text.split("\n"):
        if any(mark in line for mark in "#/-") and (closes := CLOSES.search(in_english(line))):
            return " ".join(closes[0].split())
    return ""


def _without_trailers(body: str) -> tuple[str, set[str]]:
    """Return the prose of a body, and what its trailers tell."""
    prose, facts = [], set()
    for line in body.split("\n"):
        trailer = _TRAILER.match(line)
        if trailer is None:
            if not _CODE_LINE.match(line):
                prose.append(line)
        elif _TOLD_BY.match(trailer[1]):
            facts.add("t:reported")
        elif "stable@" in trailer[2] or "backport" in trailer[1].lower():
            facts.add("t:stable")
    return "\n".join(prose), facts


def _words(text: str) -> list[str]:
    text = TRACKED.sub(" bugnumber ", _ISSUE.sub(" issuenumber ", text))
    text = _NAME.sub(" codename ", _URL.sub(" ", text)).lower()
    # the subject comes in English; a body in ASCII is seldom of another language
    return _WORD.findall(text if text.isascii() else in_english(text))


def in_english(text: str) -> str:
    """Return a text with common words of other languages replaced by English ones."""
    if not text.isascii():
        text = _UNSPACED.sub(lambda match: f" {_BEGINNINGS[match[0]]} ", text)
    return _WORD.sub(_english, text)


def _english(match: re.Match[str]) -> str:
    word = match[0].lower()
    for beginning in _BY_START.get(word[:_MIN_BEGINNING], ()):
        if word.startswith(beginning):
            return _BEGINNINGS[beginning]
    return _WHOLE.get(word, match[0])


def _grams(kind: str, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    stems = [_stem(word) for word in words]
    yield from ((kind + stem, word) for stem, word in zip(stems, words, strict=True))
    for (a, b), (x, y) in zip(pairwise(stems), pairwise(words), strict=True):
        yield f"{kind}{a} {b}", f"{x} {y}"


@lru_cache(_STEMS_KEPT)
def _stem(word: str) -> str:
    """Return a word without its ending, so that "fixes" and "fixing" are one."""
    for ending, least in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    return word[:-1] if word.endswith("e") and len(word) > _SHORT else word


def _path_facts(paths: Sequence[str]) -> Iterable[str]:
    kinds = {_kind(path) for path in paths}
    count = len(paths)
    size = "1" if count == 1 else "2-3" if count <= 3 else "4-9" if count <= 9 else "10+"  # noqa: PLR2004
    facts = {f"p:files {size}", "p:" + " and ".join(sorted(kinds))}
    return facts | ({"p:named after an issue"} if any(map(_ISSUE_FILE.search, paths)) else set())


def _line_facts(files: Sequence[EditedFile]) -> Iterator[str]:
    """Yield what the lines say: how many of the program, how many of tests, in which language."""
    program = [file for file in files if _kind(file.path) in {"code", "data"}]
    tests = sum(file.added or 0 for file in files if _kind(file.path) == "test")
    yield "d:tests added" if tests else "d:no tests"
    if any(_CHANGE_LOG.search(file.path) for file in files):
        yield "d:changelog"
    if not program or any(file.added is None or file.deleted is None for file in program):
        return
    added = sum(file.added or 0 for file in program)
    deleted = sum(file.deleted or 0 for file in program)
    yield f"d:files {_size(len(program))}"
    yield f"d:added {_size(added)}"
    yield f"d:deleted {_size(deleted)}"
    yield f"d:{_balance(added, deleted)}"
    if tests:
        yield "d:more tests" if tests > 2 * added else "d:fewer tests"
    lines: Counter[str] = Counter()
    for file in program:
        lines[language_of(file.path)] += (file.added or 0) + (file.deleted or 0)
    yield f"l:{lines.most_common(1)[0][0]}"


def _size(number: int, tops: Sequence[int] = _LINES) -> str:
    """Return a number as a range of numbers."""
    below = -1
    for top in tops:
        if number <= top:
            return str(top) if top == below + 1 else f"{below + 1}-{top}"
        below = top
    return f"{below + 1}+"


def _balance(added: int, deleted: int) -> str:
    if not deleted or not added:
        return "only adds" if added else "only deletes" if deleted else "no lines"
    if abs(added - deleted) <= max(1, _ALIKE * max(added, deleted)):
        return "as many"
    return "adds" if added > _MUCH * deleted else "deletes" if deleted > 2 * added else "mixed"


def is_program(path: str) -> bool:
    """Tell whether a file is of what users run: no test, document, example or build file."""
    return _kind(path) in {"code", "data"}


def _kind(path: str) -> str:
    if _BUILD.search(path):
        return "build"
    if is_test_path(path):
        return "test"
    if _EXAMPLE.search(path.partition("src/main/")[0]):  # below it they are names of packages
        return "example"
    if language_of(path) == "text":
        return "text"
    return "code" if is_code(path) else "data"
