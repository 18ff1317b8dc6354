"""Plans as files and lines of RSpec, and what the text of a file tells of its examples."""

from __future__ import annotations

import pytest

from testopt.runners.cases_in_ruby import rspec_examples
from testopt.runners.registry import RUNNERS
from tests.builders import printed

CART = """RSpec.describe Cart, type: :model do
  describe "#add" do
    it "adds" do
    end
    it("drops",
       slow: true) { }
    it { is_expected.to be_valid }
  end
  shared_examples "counted" do
    it "counts" do
    end
  end
  context "when empty" do
    it_behaves_like "counted"
  end
  context "when full" do
    include_examples "counted"
  end
  [1, 2].each do |n|
    it "holds #{n} things" do
    end
  end
end
"""
CASES = {
    "Cart#add adds": 3,
    "Cart#add is expected to be valid": 7,
    "Cart when empty behaves like counted counts": 14,
    "Cart when full counts": 16,
    "Cart holds 2 things": 20,
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "spec/models").mkdir(parents=True)
    (tmp_path / "spec/models/cart_spec.rb").write_text(CART)
    (tmp_path / "spec/models/odd.name_spec.rb").write_text('describe("Odd") { }\n')
    return tmp_path


def case(description, file="spec.models.cart_spec"):
    return f"{file}::{description}"


KNOWN = [case(text) for text in (*CASES, "Cart#add drops")]


@pytest.mark.parametrize(("text", "line"), CASES.items())
def test_an_example_is_asked_for_by_its_line(root, text, line):
    lines = printed("rspec", case(text), known=KNOWN, root=root)
    assert lines == [f"./spec/models/cart_spec.rb:{line}"]


@pytest.mark.parametrize("text", ["Cart#add drops", "Cart is of a macro", "Cart#add"])
def test_a_file_runs_whole_for_an_example_whose_line_is_not_known(root, text):
    planned = [case("Cart#add adds"), case(text)]
    assert printed("rspec", *planned, known=[*KNOWN, *planned], root=root) == [
        "./spec/models/cart_spec.rb"
    ]


def test_a_file_of_which_nothing_is_left_out_runs_whole_unless_the_user_named_the_cases(root):
    assert printed("rspec", *KNOWN, known=KNOWN, root=root) == ["./spec/models/cart_spec.rb"]
    named = printed("rspec", KNOWN[0], known=KNOWN[:1], root=root, exact=True)
    assert named == ["./spec/models/cart_spec.rb:3"]


def test_files_keep_the_order_of_the_plan(root):
    odd = case("Odd is", "spec.models.odd")
    for planned in ([odd, KNOWN[0]], [KNOWN[0], odd]):
        lines = printed("rspec", *planned, known=[*KNOWN, odd], root=root)
        assert [line.partition(":")[0] for line in lines] == [
            "./spec/models/cart_spec.rb" if "cart" in one else "./spec/models/odd.name_spec.rb"
            for one in planned
        ]


def test_a_file_is_found_from_the_folder_where_rspec_starts(root, tmp_path):
    (tmp_path / "engine").mkdir()
    (tmp_path / "spec").rename(tmp_path / "engine/spec")
    for planned in (KNOWN[0], f"engine.{KNOWN[0]}"):
        lines = printed("rspec", planned, known=[planned], root=root, folder="engine")
        assert lines == ["./spec/models/cart_spec.rb"]
    assert printed("rspec", whole=["engine.spec.models.odd"], root=root, folder="engine") == [
        "./spec/models/odd.name_spec.rb"
    ]


def test_everything_and_nothing(root):
    assert printed("rspec", *KNOWN, everything=True, root=root) == []
    assert printed("rspec", known=KNOWN, root=root) == ["--example-matches=(?!)"]


def test_ids_of_others_are_not_its_own():
    fits = RUNNERS["rspec"].fits
    assert fits("spec.a_spec::A b")
    assert fits("spec.sub.b::A b")
    assert not fits("org.x.FooTest::adds")
    assert not fits("tests/test_a.py::test_x")
    assert not fits("spec.a_spec")


def test_titles_are_joined_as_rspec_does():
    text = """describe 'it\\'s', "more" do
  describe Foo do
    describe ".make" do
      it "a \\"b\\"" do end
    end
    describe Bar::Baz, "#x" do
      it "y"
    end
  end
end
"""
    assert [example.parts for example in rspec_examples(text)] == [
        ("it's more Foo.make a \"b\"",), ("it's more Foo Bar::Baz#x y",)
    ]  # fmt: skip


def test_the_name_of_a_class_in_a_module_may_begin_with_that_of_the_module():
    text = """module Shop
  RSpec.describe Cart do
    describe "#add" do
      it "adds" do end
    end
  end
end
"""
    (example,) = rspec_examples(text)
    assert example.line == 4
    assert not example.is_certain
    assert example.has("Shop::Cart#add adds")
    assert example.has("Cart#add adds")
    assert not example.has("Shop::Cart#add adds more")
