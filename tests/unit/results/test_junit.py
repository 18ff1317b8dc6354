import io

import pytest

from testopt.errors import InputFileError
from testopt.results import xml_parsing
from testopt.results.junit import NotJUnitError, read_junit


def read(data, **options):
    cases = []
    content = data if isinstance(data, bytes) else data.encode()
    return read_junit(io.BytesIO(content), cases.extend, **options), cases


def outcomes(body):
    _, cases = read(
        f"<testsuite name='s'><testcase name='a' time='2'>{body}</testcase></testsuite>"
    )
    attempts = cases[0][2]
    return ["passed"] if attempts is None else [a.outcome for a in attempts]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", ["passed"]),
        ("<system-out>text</system-out><properties/>", ["passed"]),
        ("<failure/>", ["failed"]),
        ("<error message='m'/>", ["error"]),
        ("<skipped type='pytest.xfail'/>", ["skipped"]),
        ("<skipped/><failure/><error/>", ["failed"]),
        ("<skipped/><error/>", ["error"]),
        ("<failure/><failure/>", ["failed"]),
        ("<flakyFailure/><flakyError/>", ["failed", "error", "passed"]),
        ("<failure/><rerunFailure/><rerunError/>", ["failed", "error", "failed"]),
        ("<system-out><failure/></system-out>", ["failed"]),
        ("<testcase><error/></testcase>", ["error"]),
    ],
)
def test_outcomes(body, expected):
    assert outcomes(body) == expected


def test_flank_writes_flaky_as_an_attribute():
    _, cases = read("<testsuite><testcase name='a' flaky='true'><failure/></testcase></testsuite>")
    assert [a.outcome for a in cases[0][2]] == ["failed", "passed"]


def test_messages_become_digests_of_attribute_or_text():
    summary, cases = read(
        "<testsuites><testsuite>"
        "<testcase name='a'><failure message='boom 1'>trace</failure></testcase>"
        "<testcase name='b'><failure>boom<b>x</b> 2</failure></testcase>"
        "<testcase name='c'><flakyFailure><stackTrace>boom 3</stackTrace></flakyFailure></testcase>"
        "</testsuite></testsuites>"
    )
    first, second, third = (case[2][0].message for case in cases)
    assert first is not None
    assert len(first) == 16
    assert second is not None
    assert third is not None
    assert summary.attempts == 4


def test_suites_nest_and_namespaces_are_no_obstacle():
    _, cases = read(
        "<j:testsuites xmlns:j='urn:x'><j:testsuite name='outer'><j:testsuite name=''>"
        "<j:testcase name='a'/></j:testsuite><j:testcase name='b'/></j:testsuite>"
        "<j:testcase name='c'/></j:testsuites>"
    )
    assert [(a["name"], s.name) for a, s, _ in cases] == [("a", "outer"), ("b", "outer"), ("c", "")]


@pytest.mark.parametrize(
    ("data", "bom"),
    [
        ("utf-16", b""),
        ("utf-16-le", b""),
        ("utf-8", b"\xef\xbb\xbf"),
        ("latin-1", b""),
        ("gbk", b""),
    ],
)
def test_encodings(data, bom):
    text = f"<?xml version='1.0' encoding='{data}'?><testsuite><testcase name='Größe'/></testsuite>"
    if data == "gbk":
        text = text.replace("Größe", "尺寸")
    _, cases = read(bom + text.encode(data))
    assert cases[0][0]["name"] in {"Größe", "尺寸"}


@pytest.mark.parametrize("name", ["utf8", "zlib", "unicode_escape", "utf-16", "no-such-thing"])
def test_a_declared_encoding_that_cannot_be_is_utf8(name):
    text = f"<?xml version='1.0' encoding='{name}'?><testsuite><testcase name='é'/></testsuite>"
    assert read(text)[1][0][0]["name"] == "é"


def test_a_truncated_file_keeps_its_complete_cases():
    summary, cases = read(
        "<testsuite>\n<testcase name='a'/>\n<testcase name='b'><failure/></testcase>\n"
        "<testcase name='c'>"
    )
    assert [a["name"] for a, _, _ in cases] == ["a", "b"]
    assert summary.cases == 2
    assert summary.counts["failed"] == 1
    assert "line 4" in summary.broken.message


@pytest.mark.parametrize("bad", ["\x1b[31m", "&#x1b;", "&nbsp;", "\x00", "&", "\ufffe"])
def test_forbidden_characters_are_left_out_on_request(bad):
    case = f"<testcase name='b'><failure>{bad}</failure></testcase>"
    text = f"<testsuite><testcase name='a'/>{case}</testsuite>"
    summary, _ = read(text)
    assert summary.broken.repairable
    summary, cases = read(text, repair=True)
    assert summary.broken is None
    assert len(cases) == 2


def test_references_that_a_chunk_cuts_are_repaired(monkeypatch):
    monkeypatch.setattr(xml_parsing, "CHUNK_BYTES", 7)
    text = "<testsuite><testcase name='a&amp;b&#27;&bogus;'/><testcase name='\x1bé'/></testsuite>"
    summary, cases = read(text, repair=True)
    assert summary.broken is None
    assert [a["name"] for a, _, _ in cases] == ["a&b&bogus;", "é"]


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE t [<!ENTITY a 'b'>]>",
        "<!DOCTYPE t [<!ENTITY % a SYSTEM 'file:///etc/passwd'> %a;]>",
        "<!DOCTYPE t SYSTEM 'http://localhost/x.dtd'>",
    ],
)
def test_entities_and_external_subsets_are_refused(doctype):
    with pytest.raises(InputFileError, match=r"line 2: .*entities"):
        read(f"<?xml version='1.0'?>\n{doctype}<testsuite><testcase name='&a;'/></testsuite>")


def test_a_bare_doctype_does_no_harm():
    assert read("<!DOCTYPE testsuite><testsuite><testcase name='a'/></testsuite>")[0].cases == 1


def test_a_billion_laughs_are_refused_before_the_first():
    bomb = "<!DOCTYPE l [<!ENTITY a 'ha'>" + "".join(
        f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)
    )
    with pytest.raises(InputFileError, match="entities"):
        read(bomb + "]><testsuite><testcase name='&j;'/></testsuite>")


def test_other_xml_is_told_apart():
    with pytest.raises(NotJUnitError, match=r"line 1: .*<project>"):
        read("<project><testsuite/></project>")


def test_nothing_at_all_is_an_error():
    with pytest.raises(InputFileError, match="ends early"):
        read("")


class Endless(io.RawIOBase):
    """A document whose middle repeats one chunk; counts what was read."""

    def __init__(self, head, chunk, times, tail):
        self.parts = iter([head, *([chunk] * times), tail])
        self.given = 0

    def read(self, size=-1):
        part = next(self.parts, b"")
        self.given += len(part)
        return part


def test_a_huge_attribute_is_refused_before_it_ends():
    stream = Endless(
        b"<testsuite><testcase name='a'/><testcase name='", b"x" * (1 << 20), 300, b"'/>"
    )
    cases = []
    summary = read_junit(stream, cases.extend)
    assert "more than 16 MB" in summary.broken.message
    assert len(cases) == 1
    assert stream.given < 20 << 20


def test_a_huge_line_of_output_costs_no_memory():
    import tracemalloc

    stream = Endless(
        b"<testsuite><testcase name='a'><system-out>",
        b"y" * (1 << 20),
        100,
        b"</system-out><failure>",  # a failure's text is cut, too
    )
    stream.parts = iter(
        [*stream.parts, *([b"z" * (1 << 20)] * 100), b"</failure></testcase></testsuite>"]
    )
    tracemalloc.start()
    summary = read_junit(stream, lambda cases: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary.counts["failed"] == 1
    assert peak < 20 << 20


def test_deep_nesting_is_refused():
    summary, _ = read("<testsuite>" * 5000)
    assert "nested" in summary.broken.message


# As @playwright/test 1.65 and Vitest 5.1 write them; bun and jest-junit name the machine, too.
PLAYWRIGHT = """<testsuites id="" name="" tests="2" failures="0" skipped="0" errors="0" time="5.1">
<testsuite name="a.spec.ts" timestamp="2026-11-27T17:06:39.838Z" hostname="my project" tests="1"
 failures="0" skipped="0" time="0.067" errors="0">
<testcase name="adds" classname="a.spec.ts" time="0.01"></testcase></testsuite></testsuites>"""
VITEST = """<testsuites name="vitest tests" tests="1" failures="0" errors="0" time="0.006">
<testsuite name="a.spec.ts" timestamp="2026-11-27T17:06:48.350Z" hostname="runner-a17" tests="1"
 failures="0" errors="0" skipped="0" time="0.006">
<testcase classname="a.spec.ts" name="cart &gt; adds" time="0.003"></testcase></testsuite>
</testsuites>"""
_INNER = PLAYWRIGHT.partition("\n")[2].replace("</testsuites>", "")


@pytest.mark.parametrize(
    ("text", "project"),
    [
        (PLAYWRIGHT, "my project"),
        (f"<testsuites>{_INNER}</testsuites>", "my project"),  # merged with others by a tool
        ('<testsuite name="a" hostname="webkit"><testcase name="t"/></testsuite>', "webkit"),
        (VITEST, ""),
        ('<testsuite name="a" hostname="vm"><testcase name="t"/></testsuite>', ""),
    ],
)
def test_only_playwright_names_a_project_where_others_name_the_machine(text, project):
    found = []
    read_junit(io.BytesIO(text.encode()), found.extend)
    assert [suite.project for _, suite, _ in found] == [project]
