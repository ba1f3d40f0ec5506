"""Reading YAML into strict models: what a file may hold, and what its writer is told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from churn.core.errors import ConfigError, ContractError
from churn.core.yaml_files import parse_model, read_yaml, unambiguous_yaml


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Dish(Strict):
    price: float = Field(gt=0)
    vegan: bool = False


class Soup(Strict):
    kind: Literal["soup"] = "soup"
    litres: float = 1.0


class Menu(Strict):
    title: str
    dishes: dict[str, Dish] = {}
    specials: list[Dish] = []
    starter: Soup | None = None

    @model_validator(mode="after")
    def _has_something(self) -> Menu:
        if not self.dishes and not self.specials:
            raise ValueError("a menu needs a dish")
        return self


MENU: dict[str, Any] = {"title": "Monday", "dishes": {"stew": {"price": 7}}}


def refused(**changes: Any) -> str:
    with pytest.raises(ConfigError, match=r"^menu\.yaml: ") as caught:
        parse_model(Menu, MENU | changes, "menu.yaml", ConfigError)
    return str(caught.value).removeprefix("menu.yaml: ")


@pytest.mark.parametrize("word", ["Yes", "No", "yes", "NO", "on", "Off", "y", "N"])
def test_a_word_that_yaml_once_took_for_a_truth_value_is_text(word: str) -> None:
    assert unambiguous_yaml(f"label: {word}") == {"label": word}


def test_true_and_false_numbers_dates_and_nothing_are_what_they_look_like() -> None:
    text = "[true, False, 3, 0.5, 2024-01-31, null, '3', ~]"
    assert unambiguous_yaml(text) == [True, False, 3, 0.5, dt.date(2024, 1, 31), None, "3", None]


def test_a_day_that_is_not_in_the_calendar_is_no_valid_yaml() -> None:
    with pytest.raises(yaml.YAMLError, match="day is out of range for month"):
        unambiguous_yaml("as_of: 2024-02-30")


def test_other_loaders_keep_their_truth_values() -> None:
    assert yaml.safe_load("label: Yes") == {"label": True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: [1, 2\nc: 3\n", r"is not valid YAML at line 3, column 2: expected .* Correct that line"),
        (b"a: 1\n\tb: 2\n", "is not valid YAML at line 2, column 1"),
        (b"as_of: 2024-13-01\n", "is not valid YAML: month must be in 1..12"),
        (b"a: !!python/object/apply:os.getcwd []\n", "is not valid YAML at line 1, column 4: .*python/object"),
        (b"model_name: {{dataset}}\n", r"is not valid YAML at line 1, column 14: a key is itself a list or .* quotes"),
        (b"? [a, b]\n: 1\n", r"is not valid YAML at line 1, column 3: a key is itself a list or a mapping"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "is not valid YAML: brackets or keys are nested too deep"),
        (b"a: \x00\n", "is not valid YAML: special characters are not allowed"),
        (b"name: caf\xe9\n", "is not a text file in UTF-8: save it as UTF-8"),
        (b"", r"must hold keys and values; it is empty\."),
        (b"# a remark\n", r"must hold keys and values; it is empty\."),
        (b"- a\n- b\n", r"must hold keys and values; it holds list\."),
        (b"just words\n", r"must hold keys and values; it holds str\."),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"mine\.yaml {message}"):
        read_yaml(path, ConfigError)


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read \(No such file or directory\): check the path"):
        read_yaml(tmp_path / "none.yaml", ConfigError)
    with pytest.raises(ContractError, match=r"cannot be read \(Is a directory\)"):
        read_yaml(tmp_path, ContractError)


def test_a_valid_mapping_becomes_the_model() -> None:
    menu = parse_model(Menu, MENU | {"starter": {"litres": 2}}, "menu.yaml", ConfigError)
    assert (menu.dishes["stew"].price, menu.starter) == (7.0, Soup(litres=2))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tilte": "x"}, "unknown key `tilte`; did you mean 'title'?"),
        ({"dishes": {"stew": {"price": 7, "prize": 8}}}, "unknown key `dishes.stew.prize`; did you mean 'price'?"),
        ({"specials": [{"price": 7, "vegna": True}]}, "unknown key `specials.0.vegna`; did you mean 'vegan'?"),
        ({"starter": {"litre": 2}}, "unknown key `starter.litre`; did you mean 'litres'?"),
        ({"wine": "red"}, "unknown key `wine` (valid: dishes, specials, starter, title)."),
        ({"starter": {"spoon": 2}}, "unknown key `starter.spoon` (valid: kind, litres)."),
    ],
)
def test_an_unknown_key_at_any_depth_is_named_with_those_that_are_valid(changes: dict[str, Any], sentence: str) -> None:
    assert refused(**changes) == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"title": 3}, "`title`: Input should be a valid string, got 3."),
        ({"dishes": {"stew": {"price": 0}}}, "`dishes.stew.price`: Input should be greater than 0, got 0."),
        ({"dishes": {"stew": {}}}, "`dishes.stew.price` is missing."),
        ({"dishes": []}, "`dishes`: Input should be a valid dictionary, got []."),
        ({"dishes": {}}, "a menu needs a dish."),
        ({"dishes": {"stew": {"price": True}}}, "`dishes.stew.price`: a number is expected, got True."),
        ({"specials": [{"price": 2}, {"price": True}]}, "`specials.1.price`: a number is expected, got True."),
        ({"starter": {"kind": "soup", "litres": True}}, "`starter.litres`: a number is expected, got True."),
    ],
)
def test_a_value_that_breaks_a_rule_is_named_with_the_rule(changes: dict[str, Any], sentence: str) -> None:
    assert refused(**changes) == sentence


def test_every_mistake_is_told_at_once() -> None:
    sentence = refused(title=None, wine="red", dishes={"stew": {"prize": 8}})
    for part in ("`title`: Input should", "`dishes.stew.price` is missing", "`dishes.stew.prize`", "key `wine`"):
        assert part in sentence
    assert sentence.count("; `") + sentence.count("; unknown key") == 3


def test_a_duplicated_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("seed: 1\nmoney:\n  currency: USD\n  currency: EUR\n")
    with pytest.raises(ConfigError, match=r"line 4, column 3: the key 'currency' is duplicated"):
        read_yaml(path, ConfigError)


def test_a_file_too_large_for_settings_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml"
    path.write_bytes(b"# a remark\n" * 200_000)
    with pytest.raises(ConfigError, match=r"table\.yaml has 2\.2 MB, more than the 1 MB that are read: check the path"):
        read_yaml(path, ConfigError)


def test_of_many_mistakes_the_first_are_told_and_the_rest_counted() -> None:
    sentence = refused(**{f"x{number}": 1 for number in range(30)})
    assert sentence.count("unknown key") == 20
    assert sentence.endswith("; and 10 more problems.")


def test_of_a_long_value_the_beginning_is_told() -> None:
    assert refused(title=list(range(1000))) == "`title`: Input should be a valid string, got [0, 1, 2, 3, 4, 5, ...]."
