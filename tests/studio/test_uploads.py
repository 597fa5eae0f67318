"""Uploads: pictures are made anew, and bad input leaves words and nothing else."""

import io
import struct
import sys
import zlib
from typing import Any

import httpx
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from impasto.recipe import Recipe, StyleShare


def encoded(kind: str = "JPEG", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    mode = options.pop("mode", "RGB")
    picture = Image.linear_gradient("L").resize(size).convert(mode)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF"])
def test_pictures_of_all_kinds(site: Any, visitor: httpx.Client, kind: str) -> None:
    answer = site.sent(visitor, encoded(kind))
    assert answer.status_code == 201
    upload = answer.json()
    assert (upload["kind"], upload["width"], upload["height"]) == ("picture", 64, 48)
    assert answer.headers["location"] == f"/v1/uploads/{upload['id']}"
    preview = visitor.get(upload["preview"])
    assert preview.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(preview.content)).size == (64, 48)
    assert visitor.get(f"/v1/uploads/{upload['id']}").json() == upload


def test_the_place_is_removed_and_the_picture_upright(site: Any, visitor: httpx.Client) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 8.0, 0.0)
    upload = site.sent(visitor, encoded(exif=exif.tobytes(), comment=b"secret")).json()
    assert (upload["width"], upload["height"]) == (48, 64)
    key = next(key for key in site.stored(visitor) if key.endswith("picture.png"))
    kept = Image.open(io.BytesIO(site.studio.storage.get(key)))
    assert dict(kept.getexif()) == {}
    assert kept.info == {}


@pytest.mark.parametrize(
    "text", ["no Recipe", '{"photo": "' + 200_000 * "a" + '"}', '{"photo": "a.jpg", "spy": "x"}']
)
def test_what_is_no_recipe_is_not_kept(site: Any, visitor: httpx.Client, text: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", text)
    upload = site.sent(visitor, encoded("PNG", pnginfo=info)).json()
    assert upload["recipe"] is None
    key = next(key for key in site.stored(visitor) if key.endswith("picture.png"))
    assert Image.open(io.BytesIO(site.studio.storage.get(key))).info == {}


def test_the_recipe_stays_inside(site: Any, visitor: httpx.Client) -> None:
    recipe = Recipe(photo="a.jpg", styles=(StyleShare(source="starry-night"),), size=32)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", recipe.model_dump_json())
    upload = site.sent(visitor, encoded("PNG", pnginfo=info)).json()
    assert Recipe.model_validate(upload["recipe"]) == recipe
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", '{"from": "tomorrow"}')
    upload = site.sent(visitor, encoded("PNG", pnginfo=info)).json()
    assert upload["recipe"] is None
    assert "version" in upload["notices"][0]


def test_transparency_and_movement_are_told(site: Any, visitor: httpx.Client) -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    file = io.BytesIO()
    clear.save(file, "PNG")
    assert site.sent(visitor, file.getvalue()).json()["alpha"] is True
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    upload = site.sent(visitor, file.getvalue()).json()
    assert "first picture" in upload["notices"][0]


def flat_png(width: int, height: int) -> bytes:
    """A header that promises that many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


HEIC = b"\0\0\0\x18ftypheic" + bytes(60)

BAD = {
    "empty": (b"", 415, "empty"),
    "text": (b"hello " * 50, 415, "JPEG, PNG"),
    "short": (b"\xff\xd8\xff", 422, "damaged"),
    "html": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>" * 3, 415, "JPEG, PNG"),
    "pdf": (b"%PDF-1.7 " * 20, 415, "JPEG, PNG"),
    "heic": (HEIC, 415, "JPEG"),
    "zip": (b"PK\3\4" + bytes(200), 415, "JPEG, PNG"),
    "pickle": (b"\x80\4\x95" + bytes(200), 415, "JPEG, PNG"),
    "playlist": (b"#EXTM3U\n" + bytes(200), 415, "JPEG, PNG"),
    "bomb": (flat_png(50_000, 50_000), 422, "million"),
    "no data": (flat_png(64, 64), 422, "damaged"),
    "no pixels": (flat_png(0, 7), 422, ""),
    "scans": (encoded(progressive=True)[:200] + b"\xff\xda\0\0" * 200, 422, "ordinary JPEG"),
    "film": (b"\0\0\0\x18ftypisom" + bytes(100), None, ""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_words_and_leaves_nothing(
    site: Any, visitor: httpx.Client, name: str
) -> None:
    data, status, words = BAD[name]
    answer = site.sent(visitor, data)
    assert answer.status_code == status or (status is None and 400 <= answer.status_code < 500)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert words in problem["detail"]
    assert "/" not in problem["detail"].replace("impasto[video]", "")  # no path of ours
    assert site.stored(visitor) == []
    site.until(lambda: not site.left_over())


def test_uploads_belong_to_their_owner(site: Any, visitor: httpx.Client) -> None:
    id = site.sent(visitor, encoded()).json()["id"]
    with site.visitor() as other:
        for method, path in (("GET", ""), ("GET", "/preview"), ("DELETE", "")):
            assert other.request(method, f"/v1/uploads/{id}{path}").status_code == 404
    assert visitor.delete(f"/v1/uploads/{id}").status_code == 204
    assert visitor.get(f"/v1/uploads/{id}").status_code == 404
    assert site.stored(visitor) == []


@pytest.mark.parametrize("id", ["..%2F..%2Fetc", "u" + "0" * 33, "x", "u" + "A" * 32, "%00"])
def test_ids_never_become_paths(visitor: httpx.Client, id: str) -> None:
    assert visitor.get(f"/v1/uploads/{id}").status_code in (404, 422)


def test_films_without_the_extra_are_explained(
    visitor: httpx.Client, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        import av  # noqa: F401
        import cv2  # noqa: F401
    except ImportError:
        answer = site.sent(visitor, b"\0\0\0\x18ftypisom" + bytes(100))
        assert answer.status_code == 415
        assert "impasto[video]" in answer.json()["detail"]


def test_films(site: Any, visitor: httpx.Client) -> None:
    av = pytest.importorskip("av")
    pytest.importorskip("cv2")
    import numpy as np

    def film(frames: int, rate: int) -> bytes:
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("h264", rate=rate)
            stream.width, stream.height = 64, 48
            for number in range(frames):
                pixels = np.full((48, 64, 3), number * 9 % 255, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
            container.mux(stream.encode())
        return file.getvalue()

    upload = site.sent(visitor, film(10, 5)).json()
    assert (upload["kind"], upload["frames"], upload["width"]) == ("film", 10, 64)
    assert upload["seconds"] == pytest.approx(2, abs=0.3)
    assert visitor.get(upload["preview"]).status_code == 200
    long = site.sent(visitor, film(200, 1))
    assert long.status_code == 422
    assert "60 s" in long.json()["detail"]
    torn = site.sent(visitor, film(10, 5)[:700])
    assert torn.status_code == 422
    assert "/" not in torn.json()["detail"]


def test_films_without_pyav_are_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from impasto.errors import BadInput
    from impasto.studio import decoder

    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BadInput, match="video"):
        decoder.film({"source": str(tmp_path / "film"), "folder": str(tmp_path)})
