import pytest

from testopt.ingest.environment import environment_failure, results_failure
from testopt.schema import Change, FileChange, Result

REFUSED = "psycopg.OperationalError: connection refused (localhost:5432)"
CODE = FileChange("shop/cart.py", 3, 1, tokens="total price")


def judge(text=REFUSED, files=(CODE,), *, executed=100, failing=None, known=True):
    return environment_failure(
        executed=executed,
        failing=failing or {"d": 80},
        samples={"d": text},
        change=Change(files=tuple(files), known=known),
    )


def test_one_message_about_the_environment_is_recognised():
    assert judge() is True
    assert judge(known=False) is True


@pytest.mark.parametrize(
    "failing", [{"d": 40}, {"d": 50, "e": 30}, {None: 1}], ids=["few", "several", "one"]
)
def test_other_failures_are_none_of_the_environment(failing):
    assert judge(failing=failing) is False


def test_small_runs_say_too_little():
    assert judge(executed=10, failing={"d": 10}) is False


@pytest.mark.parametrize(
    "text",
    [
        'File "/app/shop/cart.py", line 3: connection refused',
        "connection refused in shop.cart.Cart",
        "connection refused; name 'total' is not defined",
    ],
)
def test_a_message_that_names_the_change_is_explained_by_it(text):
    assert judge(text) is False


@pytest.mark.parametrize("path", ["requirements.txt", "docker-compose.yml", "package.json"])
def test_a_changed_configuration_may_explain_anything(path):
    assert judge(files=[FileChange(path)]) is False


@pytest.mark.parametrize(
    "files",
    [[], [FileChange("README.md")], [FileChange("t/page.html")], [FileChange("tests/a.yaml")]],
)
def test_a_message_that_does_not_speak_of_the_environment_is_never_its_fault(files):
    assert judge("ModuleNotFoundError: No module named 'shop.cart'", files=files) is None


@pytest.mark.parametrize(
    "file",
    [FileChange("src/shop/cart.py"), FileChange("shop/basket.py", old_path="shop/cart.py")],
    ids=["src layout", "renamed"],
)
def test_modules_are_known_by_their_imported_and_their_old_name(file):
    assert judge("connection refused in shop.cart.Cart", files=[file]) is False


def test_results_are_judged_by_their_last_attempts():
    gone = [Result(f"t::{i}", "error", message="d") for i in range(40)]
    change = Change(files=(CODE,), known=True)
    assert results_failure(gone, {"d": REFUSED}, change) is True
    again = [Result(f"t::{i}", "passed", attempt=2) for i in range(40)]
    assert results_failure([*gone, *again], {"d": REFUSED}, change) is False


def test_what_cannot_be_told_is_unknown():
    assert judge("it is dark") is None
    assert judge("it is dark", known=False) is None
