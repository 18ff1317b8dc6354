"""Streaming of diffs: where the blocks end must not matter; paths and patches survive."""

import io

from hypothesis import given
from hypothesis import strategies as st

from testopt.code.paths import path_bytes, path_text
from testopt.git import diff_listing
from testopt.git.diff_listing import read_listing, with_tokens
from testopt.schema import FileChange

LINE = st.sampled_from(
    [b"+added_word", b"-gone_word", b"+diff --git a/x b/x", b"-", b"+@@ -1 +1 @@ no", b"+\xff\xfe"]
)
SECTION = st.lists(LINE, max_size=8)


def patch_of(sections):
    out = b""
    for number, lines in enumerate(sections):
        out += b"diff --git a/f%d b/f%d\nindex 1..2\n--- a/f%d\n+++ b/f%d\n" % ((number,) * 4)
        if lines:
            counts = (
                sum(line[:1] == b"-" for line in lines),
                sum(line[:1] == b"+" for line in lines),
            )
            out += b"@@ -1,%d +1,%d @@ func_%d\n" % (*counts, number)
            out += b"".join(line + b"\n" for line in lines)
    return out


@given(st.binary(max_size=60))
def test_paths_survive(raw):
    text = path_text(raw)
    assert path_bytes(text) == raw
    assert text.encode("utf-8").decode("utf-8") == text


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_paths_stay_different(one, other):
    assert (path_text(one) == path_text(other)) == (one == other)


@given(st.lists(SECTION, max_size=6), st.integers(1, 64), st.integers(0, 100))
def test_blocks_do_not_matter(sections, block, first):
    patch = patch_of(sections)
    rest = io.BytesIO(patch[first:])
    files = [FileChange(f"f{n}") for n in range(len(sections))]
    whole = with_tokens(files, patch, io.BytesIO().read)
    pieces = with_tokens(files, patch[:first], lambda _: rest.read(block))
    assert pieces == whole
    for number, (file, lines) in enumerate(zip(whole, sections, strict=True)):
        words = file.tokens.split()
        assert words[:1] == ([f"func_{number}"] if lines else [])
        assert words.count("added_word") == lines.count(b"+added_word")
        assert words.count("gone_word") == lines.count(b"-gone_word")


@given(st.binary(min_size=1, max_size=40).filter(lambda b: b"\0" not in b), st.integers(1, 20))
def test_listing_ends_at_the_double_nul(path, block):
    listing = b":100644 100644 1 2 M\0" + path + b"\0" + b"1\t2\t" + path
    stream = io.BytesIO(listing + b"\0\0" + b"diff --git a b\n")
    found, patch = read_listing(lambda _: stream.read(block))
    assert found == listing
    (file,) = diff_listing.file_changes(found)
    assert (path_bytes(file.path), file.added, file.deleted) == (path, 1, 2)
    assert (patch + stream.read()).endswith(b"diff --git a b\n"[len(patch) :])
