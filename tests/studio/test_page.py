"""The page's files: small, whole, in all languages, and nothing that its own rules would block."""

import json
import re
from pathlib import Path

import pytest

import impasto
from impasto.style import Style, gallery

STATIC = Path(impasto.__file__).parent / "studio" / "static"

MOST_BYTES = 150_000
"""What a visitor's browser has to fetch, pictures aside: the page in one language."""

TRANSLATIONS = ("style.", "artist.", "sample.")
"""Names that the server gives in English; other languages may have them, too."""

PICTURES = {".svg", ".webp", ".png", ".jpg"}


def files(*suffixes: str) -> list[Path]:
    return sorted(file for file in STATIC.rglob("*") if file.suffix in suffixes)


def words(language: str) -> dict[str, str]:
    text = (STATIC / "locales" / f"{language}.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


LANGUAGES = [file.stem for file in files(".json")]

SOURCES = {file.name: file.read_text(encoding="utf-8") for file in files(".js", ".html", ".css")}

CODE = "\n".join(SOURCES.values())


def used() -> tuple[set[str], set[str]]:
    """Keys that the sources name, and beginnings of those that they put together."""
    whole = set(re.findall(r"""\bt\("([\w.]+)"|data-t(?:-\w+)?="([\w.]+)\"""", CODE))
    listed = set(re.findall(r'"((?:help|keys|nav)\.[\w]+)"', CODE))
    parts = set(re.findall(r"\bt\(`([\w.]+)\$\{", CODE))
    parts |= {f"{group}." for group in re.findall(r'\bnamed\("(\w+)"', CODE)}
    return {key for pair in whole for key in pair if key} | listed, parts


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_light(language: str) -> None:
    others = {f"{other}.json" for other in LANGUAGES if other != language}
    fetched = [file for file in STATIC.rglob("*") if file.is_file() and file.name not in others]
    weight = sum(file.stat().st_size for file in fetched if file.suffix not in PICTURES)
    assert weight < MOST_BYTES


def test_modules_stay_small() -> None:
    long = {name: text.count("\n") for name, text in SOURCES.items() if text.count("\n") >= 300}
    assert long == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything(language: str) -> None:
    english = set(words("en"))
    told = {key for key in words(language) if not key.startswith(TRANSLATIONS)}
    assert told == english
    assert all(text.strip() for text in words(language).values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_blanks_are_the_same_in_every_language(language: str) -> None:
    """``{n}`` stays ``{n}``: what is filled in is not translated."""

    def blanks(text: str) -> list[str]:
        return sorted(re.findall(r"\{\w+\}", text))

    told = words(language)
    differing = [key for key, text in words("en").items() if blanks(text) != blanks(told[key])]
    assert differing == []


def test_words_that_are_used_exist() -> None:
    keys, beginnings = used()
    assert len(keys) > 100
    assert keys - set(words("en")) == set()
    for beginning in beginnings - set(TRANSLATIONS):
        assert any(key.startswith(beginning) for key in words("en")), beginning


def test_words_that_exist_are_used() -> None:
    keys, beginnings = used()
    idle = [key for key in words("en") if key not in keys and not key.startswith(tuple(beginnings))]
    assert idle == []


def test_the_gallery_speaks_chinese() -> None:
    told = words("zh")
    for name, file in gallery().items():
        assert f"style.{name}" in told
        assert f"artist.{Style.load(file).about['artist']}" in told


def test_languages_are_offered() -> None:
    table = re.search(r"LANGUAGES = \{([^}]*)\}", SOURCES["i18n.js"])
    assert table
    assert sorted(re.findall(r"(\w+):", table[1])) == LANGUAGES


def test_nothing_is_fetched_from_elsewhere() -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", "".join(_spoken())))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not an address


def _spoken() -> list[str]:
    """Sources without what only people read: line comments."""
    return [re.sub(r"(?m)^\s*//.*$|\s// .*$", "", text) for text in SOURCES.values()]


def test_nothing_that_the_policy_blocks() -> None:
    """``default-src 'self'``: no script, style or listener inside the page, no eval."""
    html = SOURCES["index.html"]
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=", html) == []
    scripts = "\n".join(text for name, text in SOURCES.items() if name.endswith(".js"))
    found = re.findall(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|outerHTML", scripts)
    assert found == []
    assert re.findall(r'setAttribute\("style"|style: "', scripts) == []
    assert "@import" not in CODE
    assert "url(" not in CODE


def test_all_that_the_page_names_is_there() -> None:
    """Addresses under /static, and modules."""
    for address in re.findall(r'"/static/([\w./-]+)', SOURCES["index.html"]):
        assert (STATIC / address).is_file(), address
    for file in files(".js"):
        for module in re.findall(r'from "\./([\w.]+)"', file.read_text(encoding="utf-8")):
            assert (STATIC / "js" / module).is_file(), f"{file.name}: {module}"


def test_icons_are_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="(\w+)"', (STATIC / "icons.svg").read_text()))
    named = set(re.findall(r'data-icon="(\w+)"|\b(?:icon|tool)\("(\w+)"', CODE))
    assert {name for pair in named for name in pair if name} <= drawn


def test_imported_names_are_exported() -> None:
    """A misspelt import stops the whole page."""
    for file in files(".js"):
        text = file.read_text(encoding="utf-8")
        for names, module in re.findall(r'import \{([^}]+)\} from "\./([\w.]+)"', text):
            exported = set(
                re.findall(r"export (?:async )?(?:function|const|class) ([\w$]+)", SOURCES[module])
            )
            wanted = {name.strip() for name in names.split(",") if name.strip()}
            assert wanted <= exported, f"{file.name} from {module}: {wanted - exported}"
            body = text.replace(f"import {{{names}}}", "")
            idle = {
                name for name in wanted if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", body)
            }
            assert idle == set(), f"{file.name}: {idle} imported for nothing"
