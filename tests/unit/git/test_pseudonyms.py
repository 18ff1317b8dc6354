"""Pseudonyms and the key behind them."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from testopt.errors import DataError, SettingsError
from testopt.git import pseudonyms
from testopt.git.pseudonyms import author_key, pseudonym


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TESTOPT_KEY", raising=False)
    return tmp_path


def test_pseudonym_depends_on_person_and_key_only():
    one = pseudonym(b"Ann@Example.org ", b"k1")
    assert one == pseudonym(b"ann@example.org", b"k1")
    assert one != pseudonym(b"ann@example.org", b"k2")
    assert one != pseudonym(b"bob@example.org", b"k1")
    assert len(one) == 24
    assert b"ann" not in one.encode()


def test_environment_wins(config):
    author_key(create=True)
    assert author_key(create=True, env={"TESTOPT_KEY": "x" * 16}) == b"x" * 16


def test_short_key_is_refused(config):
    with pytest.raises(SettingsError, match="16 characters"):
        author_key(create=True, env={"TESTOPT_KEY": "short"})


def test_made_once_for_the_user_alone(config):
    assert author_key(create=False) is None
    key = author_key(create=True)
    assert len(key) == 64
    assert author_key(create=True) == author_key(create=False) == key
    path = pseudonyms._key_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_first_of_many_writers_wins(config):
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: author_key(create=True), range(32)))
    assert len(made) == 1


def test_empty_file_is_replaced(config):
    path = pseudonyms._key_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert author_key(create=False) is None
    assert len(author_key(create=True)) == 64


def test_unusable_folder_is_a_data_error(config):
    pseudonyms._key_file().parent.parent.mkdir(exist_ok=True)
    pseudonyms._key_file().parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written") as caught:
        author_key(create=True)
    assert "TESTOPT_KEY" in caught.value.hint
