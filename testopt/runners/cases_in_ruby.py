"""Which examples a file of RSpec holds: full descriptions and lines, by the text of the file.

Of what is computed at run time (interpolated titles, shared examples, one-liners without a title)
those parts of the description are told that stand in the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED: Final = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_CONSTANT: Final = r"[A-Z]\w*(?:::[A-Z]\w*)*"
_DECLARED: Final = re.compile(
    r"^(?P<indent>[ \t]*)(?:[\w\[\]%(). \t]{1,80}\{[ \t]*\|[^|\n]{1,40}\|[ \t]*)?"
    r"(?:(?P<end>end\b)[^\n]*|(?P<module>module|class)[ \t]+[A-Z][^\n]*"
    r"|(?:(?:::)?RSpec\.)?(?:(?P<group>[fx]?(?:describe|context|feature))"
    r"|(?P<shared>shared_(?:examples|context)\w*)|(?P<like>it_(?:should_behave|behaves)_like)"
    r"|(?P<included>include_(?:examples|context))|[fx]?(?:it|specify|example|scenario))"
    rf"(?:(?:\b[ \t]*(?=['\"])|[ \t]+|[ \t]*\([ \t]*)(?P<first>{_QUOTED}|{_CONSTANT})"
    rf"(?:[ \t]*,[ \t]*(?P<second>{_QUOTED}))?|(?P<bare>[ \t]*\{{|[ \t]+do\b)|\b)"
    r"(?P<rest>[^\n]*))$",
    re.MULTILINE,
)
_UNENDED: Final = re.compile(r"[,\\+(]\s*\Z")  # where the call ends is on a line below
_COMPUTED: Final = re.compile(r"#\{[^}]*(?:\}|\Z)|\\[^\"\\#]")
_MEMBER: Final = re.compile(r"#|::|\.")
# how RSpec describes examples without a title
_OWN_WORDS: Final = ("is expected ", "should ", "example at ", "expected ")


@dataclass(frozen=True, slots=True)
class Example:
    """An example, or several that one line declares.

    Attributes
    ----------
    line : int
        By which RSpec knows it.
    parts : tuple of str
        The full description; of one that is computed the texts between which anything may stand.
    is_certain : bool
        Whether there is one such example.
    """

    line: int
    parts: tuple[str, ...]
    is_certain: bool = True

    def has(self, description: str) -> bool:
        """Return whether a full description could be that of such an example."""
        first, *middle, last = self.parts if len(self.parts) > 1 else (*self.parts, "")
        if len(self.parts) == 1:
            return description == first
        at, end = len(first), len(description) - len(last)
        if not (description.startswith(first) and description.endswith(last)):
            return False
        for part in middle:
            found = description.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return at <= end


@dataclass(frozen=True, slots=True)
class _Title:
    """A text; of one that is computed the parts between which anything may stand."""

    parts: tuple[str, ...]
    is_constant: bool = False  # a class: a member's name follows it without a blank

    def then(self, title: _Title) -> _Title:
        """Return the title with another one behind it."""
        *before, last = self.parts
        first, *rest = title.parts
        may_be_member = self.is_constant and (_MEMBER.match(first) or (rest and not first))
        joined = f"{last}{'' if may_be_member else ' '}{first}"
        return _Title((*before, joined, *rest), title.is_constant)


@dataclass(frozen=True, slots=True)
class _Group:
    indent: int
    line: int
    title: _Title | None  # None: not known


def rspec_examples(text: str) -> Iterator[Example]:
    """Yield the examples of a file whose lines are certain, in their order."""
    around: list[_Group] = []
    modules: list[int] = []  # their indents
    line, at = 1, 0
    for found in _DECLARED.finditer(text):
        line += text.count("\n", at, found.start())
        at = found.start()
        indent = len(found["indent"].expandtabs())
        while around and around[-1].indent >= indent:
            around.pop()
        while modules and modules[-1] >= indent:
            modules.pop()
        if found["module"]:
            modules.append(indent)
        if found["end"] or found["module"]:
            continue
        group = around[-1] if around else None
        if found["group"] or found["shared"]:
            title = None if found["shared"] else _title_of(found)
            if title is not None and title.is_constant and modules:
                # which class is meant, only Ruby knows: its name may begin with that of a module
                title = _Title(("", *title.parts), is_constant=True)
            whole = title if group is None else _behind(group.title, title)
            around.append(_Group(indent, line, whole))
        elif group is not None and group.title is not None:
            yield from _examples(found, group, line)


def _examples(found: re.Match[str], group: _Group, line: int) -> Iterator[Example]:
    """Yield what a line inside of a group declares; nothing where that is not clear."""
    owner, title = group.title, _title_of(found)
    if owner is None:
        return
    if found["included"]:  # stands elsewhere: the group alone can be asked for
        yield Example(group.line, owner.then(_Title(("", ""))).parts, is_certain=False)
    elif found["bare"]:
        yield Example(line, owner.then(_Title(("",))).parts, is_certain=False)
        for words in _OWN_WORDS:
            yield Example(line, owner.then(_Title((words, ""))).parts, is_certain=False)
    elif title is not None and not _UNENDED.search(found["rest"]):
        parts = owner.then(title).parts
        yield Example(line, parts, is_certain=len(parts) == 1)


def _behind(before: _Title | None, part: _Title | None) -> _Title | None:
    return None if before is None or part is None else before.then(part)


def _title_of(found: re.Match[str]) -> _Title | None:
    """Return what a declaration adds to a description; None: not known."""
    if found["first"] is None:
        return None
    title = _title(found["first"])
    if found["like"]:
        words = "behaves like" if "behaves" in found["like"] else "it should behave like"
        return _Title((words,)).then(title).then(_Title(("", "")))
    return title.then(_title(found["second"])) if found["second"] else title


def _title(word: str) -> _Title:
    """Return a quoted title, or the name of a class."""
    if word[0] not in "'\"":
        return _Title((word,), is_constant=True)
    inside = word[1:-1]
    if word[0] == "'":
        return _Title((re.sub(r"\\(['\\])", r"\1", inside),))
    return _Title(tuple(re.sub(r"\\(.)", r"\1", part) for part in _COMPUTED.split(inside)))
