"""The name of a project in a store that several repositories share."""

import pytest

from testopt.errors import SettingsError
from testopt.git.project import _name, project_name
from testopt.settings import Settings


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/Owner/Some_App.git", "owner.some_app"),
        ("https://user:secret@host:8443/group/sub/app.git/?a=b", "group.sub.app"),
        ("git@github.com:owner/app.git", "owner.app"),
        ("ssh://git@host:22/owner/.github", "owner.github"),
        ("https://host/group/sub.app", "group.sub..app"),
        ("/srv/git/app.git", ""),
        ("file:///srv/git/app", ""),
        ("../../..", ""),
        ("git@host:../../etc", "etc"),
        ("", ""),
    ],
)
def test_the_remote_names_owner_and_repository(url, name):
    assert _name(url) == name


@pytest.mark.integration
def test_no_repository_and_no_remote_have_no_name(make_repo):
    assert project_name(None) == ""
    assert project_name(make_repo().path) == ""


@pytest.mark.parametrize("name", ["..", "a/b", "../other", ".hidden", "-x", "a" * 101, "a\nb", "é"])
def test_a_name_stays_in_its_folder(name, tmp_path):
    settings = Settings.load(tmp_path, env={"TESTOPT_PROJECT": name})
    with pytest.raises(SettingsError, match="not a valid project name"):
        settings.with_project("s3://bucket/{project}", str)
    with pytest.raises(SettingsError, match="not a valid project name"):
        Settings().with_project("s3://bucket/{project}", lambda: name)
