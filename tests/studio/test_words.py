"""Words: refusals in the visitor's language, with a code that is the same in all."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

import impasto.studio
from impasto.studio.problems import EXAMPLES, STATUS, Refused
from impasto.studio.words import CHINESE, CODES, language, told

SIGN = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize(
    ("accepted", "cookie", "wanted"),
    [
        ("", "", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "", "zh"),
        ("da, en;q=0.8, zh;q=0.9", "", "zh"),
        ("da, fr", "", "en"),
        ("en-GB, zh", "", "en"),
        ("zh;q=0, en;q=0.1", "", "en"),
        ("zh;q=much, en", "", "en"),
        ("en", "lang=zh", "zh"),
        ("zh", "impasto=1; lang=en", "en"),
        ("zh", "lang=xx", "zh"),
    ],
)
def test_the_language_of_a_request(accepted: str, cookie: str, wanted: str) -> None:
    assert language(Headers({"accept-language": accepted, "cookie": cookie})) == wanted


def test_every_word_can_be_said() -> None:
    facts = {"count": 20, "mb": "40"}
    for code in CHINESE:
        title, detail = told(code, 422, "{braces}", facts, "zh")
        assert SIGN.search(title) and SIGN.search(detail)
        assert "{" not in detail.replace("{braces}", "")


def test_codes_are_those_that_are_raised() -> None:
    """No translation of what nobody says."""
    folder = Path(impasto.studio.__file__).parent
    source = "".join(path.read_text() for path in folder.rglob("*.py") if path.stem != "words")
    raised = {*re.findall(r'code="([a-z-]+)"', source), *CODES.values()}
    raised |= {*re.findall(r'"((?:own|queue|address)-full)"', source)}
    raised |= {code for _, code in STATUS.values()}
    assert raised >= CHINESE.keys()
    assert CODES.keys() >= EXAMPLES.keys()


def test_problems_are_told_in_the_visitors_language(site: Any, visitor: httpx.Client) -> None:
    chinese = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}
    english = site.sent(visitor, b"no picture" * 20)
    answer = site.sent(visitor, b"no picture" * 20, **chinese)
    for one, spoken in ((english, "en"), (answer, "zh")):
        assert (one.status_code, one.json()["code"]) == (415, "not-a-picture")
        assert one.headers["content-language"] == spoken
    assert "no picture" in english.json()["detail"]
    assert "不是可以读取的图片" in answer.json()["detail"]
    large = site.sent(visitor, b"\xff\xd8\xff" + bytes(2_000_001), **chinese)
    assert (large.status_code, large.json()["code"]) == (413, "file-too-large")
    assert "文件超过允许的 2 MB" in large.json()["detail"]
    gone = visitor.get(f"/v1/uploads/u{'0' * 32}", headers=chinese)
    assert (gone.json()["code"], gone.json()["title"]) == ("upload-gone", "找不到")


def test_what_cannot_be_translated_is_told_beside_it(visitor: httpx.Client) -> None:
    recipe = {"photo": "sample:coffee", "styles": [{"source": "stary-night"}]}
    headers = {"Accept-Language": "zh"}
    unknown = visitor.post("/v1/jobs", json={"recipe": recipe}, headers=headers).json()
    assert unknown["code"] == "unknown-name"
    assert "请从列表中选择" in unknown["detail"]
    assert "Did you mean 'starry-night'" in unknown["detail"]


def test_the_language_chosen_on_the_page_comes_first(visitor: httpx.Client) -> None:
    visitor.cookies.set("lang", "zh")
    problem = visitor.get(f"/v1/jobs/{'0' * 32}", headers={"Accept-Language": "en"}).json()
    assert problem["code"] == "job-gone" and "作品" in problem["detail"]


def test_what_has_no_words_is_told_in_english() -> None:
    answer = Refused(418, "A teapot.").response(Headers({"accept-language": "zh"}))
    assert b'"detail":"A teapot."' in answer.body
