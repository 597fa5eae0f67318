"""Words: what visitors are told when something is refused, in their language.

Where a refusal is raised it says its English words, its ``code`` and the facts in it; here are the
others' words, by code. A language is one more table in ``LANGUAGES``.
"""

from collections.abc import Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from types import MappingProxyType

from starlette.datastructures import Headers

ENGLISH = "en"

COOKIE = "lang"
"""The language that a visitor has chosen on the page."""

Table = Mapping[str, tuple[str, str]]
"""By code: title and detail; ``{detail}`` is what is said in English."""

CODES: Mapping[int, str] = MappingProxyType(
    {
        400: "malformed",
        401: "token-missing",
        403: "foreign",
        404: "not-there",
        405: "not-allowed",
        408: "too-slow",
        409: "not-done",
        413: "too-large",
        415: "not-a-picture",
        416: "out-of-range",
        422: "invalid",
        429: "too-many",
        500: "mistake",
        503: "busy",
    }
)
"""What a refusal is called that has no code of its own."""

CHINESE: Table = MappingProxyType(
    {
        "malformed": ("请求有误", "请求的格式不正确。（{detail}）"),
        "token-missing": ("需要口令", "这间画室需要口令：请打开启动时显示的带口令的地址。"),
        "foreign": ("不允许", "这个请求来自别的网站，画室只接受自己页面的请求。"),
        "not-there": ("找不到", "这里没有你要找的内容：它可能已被删除或已过期。"),
        "upload-gone": ("找不到", "没有这个上传：它已被删除、已过期，或属于其他访客。请重新上传。"),
        "job-gone": ("找不到", "没有这幅作品：它已被删除、已过期，或属于其他访客。"),
        "expired": ("找不到", "文件已不在：它可能已过期。"),
        "too-slow": ("超时", "上传中断或太慢，请重试。"),
        "not-done": ("尚未完成", "作品还没有可以下载的结果。"),
        "too-large": ("太大", "内容太大，请缩小。（{detail}）"),
        "file-too-large": ("太大", "文件超过允许的 {mb} MB，请先缩小。"),
        "not-a-picture": (
            "不是图片",
            "这不是可以读取的图片或影片。请上传 JPEG、PNG、WebP、TIFF、AVIF、BMP 或 GIF；"
            "影片请用 MP4、MOV、WebM 或 MKV。",
        ),
        "heic": (
            "无法读取 HEIC",
            "无法读取 HEIC，请另存为 JPEG。iPhone 可在“设置 > 相机 > 格式”中选择“兼容性最佳”。",
        ),
        "empty": ("没有内容", "文件是空的，请选择一张图片。"),
        "bad-picture": ("无法读取", "这张图片无法使用：它已损坏、被截断或尺寸过大。（{detail}）"),
        "too-heavy": ("太大", "打开这个文件所需的时间或内存超出允许，请先缩小。"),
        "breaks": ("无法读取", "这个文件无法打开，请用编辑软件打开后另存一份。"),
        "out-of-range": ("范围无效", "请求的范围超出了文件。"),
        "invalid": ("无法接受", "这些设置无法接受。（{detail}）"),
        "unknown-name": ("名称未知", "这里没有这个风格、方法或示例，请从列表中选择。（{detail}）"),
        "too-many": ("太多了", "请求太多，请稍后再试。"),
        "own-full": ("排队已满", "你已有 {count} 幅作品在排队，不能再多：请等待，或取消一些。"),
        "queue-full": ("排队已满", "排队已满，请稍后再试。"),
        "address-full": ("太多了", "来自你的网络地址的请求太多，请稍后再试。"),
        "uploads-full": ("上传已满", "你已有 {count} 个上传，不能再多：请删除一些，或等一天。"),
        "mistake": ("画室出错", "画室出错了，错误已记入日志。请重试。"),
        "busy": ("画室繁忙", "画室正忙，请稍后再试。"),
        "no-room": ("没有空间", "画室没有空间存放更多上传：请删除一些，或稍后再来。"),
        "killed": ("画室繁忙", "打开文件的程序两次被终止：画室内存不足，请稍后再试。"),
        "storage": ("画室繁忙", "画室的存储没有响应，请稍后再试。"),
    }
)

LANGUAGES: Mapping[str, Table] = MappingProxyType({"zh": CHINESE})


def language(headers: Headers) -> str:
    """The language that a request is answered in: the one chosen on the page, else the first of
    its Accept-Language that there is."""
    known = (ENGLISH, *LANGUAGES)
    wanted = [_chosen(headers), *_accepted(headers.get("accept-language", ""))]
    return next((one for one in wanted if one in known), ENGLISH)


def _chosen(headers: Headers) -> str:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""


def _accepted(text: str) -> list[str]:
    """``da, zh-CN;q=0.5, en;q=0.8`` is da, en, zh."""
    found = []
    for part in text.split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        if quality > 0:
            found.append((-quality, name.partition("-")[0].lower()))
    return [name for _, name in sorted(found, key=lambda one: one[0])]


def told(
    code: str, status: int, detail: str, facts: Mapping[str, object], language: str
) -> tuple[str, str]:
    """Title and detail of a refusal; in English where a language has no words for it."""
    title = HTTPStatus(status).phrase
    words = LANGUAGES.get(language, {}).get(code)
    if words is None:
        return title, detail
    return words[0], words[1].format(detail=detail, **facts)
