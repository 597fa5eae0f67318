"""Uploads: pictures are made anew, and bad input leaves words and nothing else."""

import io
import socket
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from impasto.recipe import Recipe, StyleShare
from impasto.studio.problems import Refused
from impasto.studio.receiving import kind_of


def encoded(kind: str = "JPEG", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    mode = options.pop("mode", "RGB")
    picture = Image.linear_gradient("L").resize(size).convert(mode)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def sent(client: httpx.Client, data: bytes, **headers: str) -> httpx.Response:
    kind = {"Content-Type": "application/octet-stream"}
    return client.post("/v1/uploads", content=data, headers={**kind, **headers})


def stored(site: Any, client: httpx.Client) -> list[str]:
    owner = client.cookies.get("impasto")
    return [found.key for found in site.studio.storage.list(f"uploads/{owner}/")]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "BMP", "GIF"])
def test_pictures_of_all_kinds(visitor: httpx.Client, kind: str) -> None:
    answer = sent(visitor, encoded(kind))
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
    upload = sent(visitor, encoded(exif=exif.tobytes(), comment=b"secret")).json()
    assert (upload["width"], upload["height"]) == (48, 64)
    key = next(key for key in stored(site, visitor) if key.endswith("picture.png"))
    kept = Image.open(io.BytesIO(site.studio.storage.get(key)))
    assert dict(kept.getexif()) == {}
    assert kept.info == {}


@pytest.mark.parametrize(
    "text", ["no Recipe", '{"photo": "' + 200_000 * "a" + '"}', '{"photo": "a.jpg", "spy": "x"}']
)
def test_what_is_no_recipe_is_not_kept(site: Any, visitor: httpx.Client, text: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", text)
    upload = sent(visitor, encoded("PNG", pnginfo=info)).json()
    assert upload["recipe"] is None
    key = next(key for key in stored(site, visitor) if key.endswith("picture.png"))
    assert Image.open(io.BytesIO(site.studio.storage.get(key))).info == {}


def test_the_recipe_stays_inside(visitor: httpx.Client) -> None:
    recipe = Recipe(photo="a.jpg", styles=(StyleShare(source="starry-night"),), size=32)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", recipe.model_dump_json())
    upload = sent(visitor, encoded("PNG", pnginfo=info)).json()
    assert Recipe.model_validate(upload["recipe"]) == recipe
    info = PngImagePlugin.PngInfo()
    info.add_itxt("impasto", '{"from": "tomorrow"}')
    upload = sent(visitor, encoded("PNG", pnginfo=info)).json()
    assert upload["recipe"] is None
    assert "version" in upload["notices"][0]


def test_transparency_and_movement_are_told(visitor: httpx.Client) -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    file = io.BytesIO()
    clear.save(file, "PNG")
    assert sent(visitor, file.getvalue()).json()["alpha"] is True
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    upload = sent(visitor, file.getvalue()).json()
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
    answer = sent(visitor, data)
    assert answer.status_code == status or (status is None and 400 <= answer.status_code < 500)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert words in problem["detail"]
    assert "/" not in problem["detail"].replace("impasto[video]", "")  # no path of ours
    assert stored(site, visitor) == []
    wait_until(lambda: not site.left_over())


def test_too_large_is_refused_before_it_is_read(site: Any, visitor: httpx.Client) -> None:
    """Announced, or found out on the way; in both cases the sender hears why."""
    data = encoded() + bytes(2_000_000)
    announced = sent(visitor, data)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), 65536):
            yield data[start : start + 65536]

    streamed = visitor.post("/v1/uploads", content=pieces())
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert "2 MB" in answer.json()["detail"]
    wait_until(lambda: not site.left_over())


REQUEST = b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


def test_an_endless_upload_ends(site: Any) -> None:
    """Whoever goes on sending after the refusal is cut off, within two seconds."""
    host, port = site.url.removeprefix("http://").split(":")
    start = time.perf_counter()
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(
            b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n"
        )
        line.sendall(encoded())
        answer = line.recv(65536)
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert time.perf_counter() - start < 3


def test_a_sender_who_goes_away_leaves_nothing(site: Any) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(
            b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n"
        )
        line.sendall(encoded()[:500])
        wait_until(lambda: site.left_over())
    wait_until(lambda: not site.left_over())


def wait_until(condition: Any, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, condition
        time.sleep(0.02)


def test_a_sender_who_falls_silent_is_not_waited_for(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.studio.receiving.SILENCE", 0.2)
    monkeypatch.setattr("impasto.studio.receiving.LINGER", 0.1)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(REQUEST % 50_000 + encoded()[:500])
        assert b" 408 " in line.recv(65536).split(b"\r\n")[0]
    wait_until(lambda: not site.left_over())


def test_a_sender_who_drips_is_cut_off(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never falls silent; still it has to come forward."""
    monkeypatch.setattr("impasto.studio.receiving.START", 0.4)
    monkeypatch.setattr("impasto.studio.receiving.LINGER", 0.1)
    host, port = site.url.removeprefix("http://").split(":")
    start = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=0.05) as line:
        line.sendall(REQUEST % 50_000)
        answer = b""
        while not answer:
            assert time.monotonic() - start < 5
            line.sendall(b"\xff")
            with suppress(TimeoutError):
                answer = line.recv(65536)
    assert b" 408 " in answer.split(b"\r\n")[0]
    wait_until(lambda: not site.left_over())


def test_only_so_many_send_at_once(
    site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = site.services.intake
    monkeypatch.setattr(intake, "most", 1)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(REQUEST % 50_000 + encoded()[:500])
        wait_until(lambda: intake.senders)
        assert_busy(sent(visitor, encoded()))
    wait_until(lambda: not intake.senders)
    assert sent(visitor, encoded()).status_code == 201
    assert intake.bytes == 0


def test_bytes_of_all_senders_are_counted(
    site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = site.services.intake
    data = encoded()
    for room in (100, len(data)):  # for the file; for what is made of it
        monkeypatch.setattr(intake, "together", room)
        assert_busy(sent(visitor, data))
        assert intake.bytes == 0
        assert stored(site, visitor) == []
    wait_until(lambda: not site.left_over())


def test_uploads_of_all_visitors_are_counted(
    site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(visitor, encoded())
    for bound in ("most", "most_bytes"):
        with monkeypatch.context() as patch, site.visitor() as other:
            patch.setattr(site.services.stock, bound, 1)
            assert_busy(sent(other, encoded()))
    assert sent(visitor, encoded()).status_code == 201


def test_others_may_decode_while_it_is_stored(
    site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, inside = site.services.storage.put, []

    def slow(key: str, data: bytes) -> None:
        inside.append(site.services.desk._inside)
        put(key, data)

    monkeypatch.setattr(site.services.storage, "put", slow)
    assert sent(visitor, encoded()).status_code == 201
    assert inside == [0, 0, 0]


def assert_busy(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["detail"]


def test_forms_are_explained(visitor: httpx.Client) -> None:
    answer = visitor.post("/v1/uploads", files={"file": encoded()})
    assert answer.status_code == 415
    assert "--data-binary" in answer.json()["detail"]


def test_uploads_belong_to_their_owner(site: Any, visitor: httpx.Client) -> None:
    id = sent(visitor, encoded()).json()["id"]
    with site.visitor() as other:
        for method, path in (("GET", ""), ("GET", "/preview"), ("DELETE", "")):
            assert other.request(method, f"/v1/uploads/{id}{path}").status_code == 404
    assert visitor.delete(f"/v1/uploads/{id}").status_code == 204
    assert visitor.get(f"/v1/uploads/{id}").status_code == 404
    assert stored(site, visitor) == []


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
        answer = sent(visitor, b"\0\0\0\x18ftypisom" + bytes(100))
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

    upload = sent(visitor, film(10, 5)).json()
    assert (upload["kind"], upload["frames"], upload["width"]) == ("film", 10, 64)
    assert upload["seconds"] == pytest.approx(2, abs=0.3)
    assert visitor.get(upload["preview"]).status_code == 200
    long = sent(visitor, film(200, 1))
    assert long.status_code == 422
    assert "60 s" in long.json()["detail"]
    torn = sent(visitor, film(10, 5)[:700])
    assert torn.status_code == 422
    assert "/" not in torn.json()["detail"]


def test_films_without_pyav_are_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from impasto.errors import BadInput
    from impasto.studio import decoder

    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(BadInput, match="video"):
        decoder.film({"source": str(tmp_path / "film"), "folder": str(tmp_path)})


@pytest.mark.parametrize("head", [b"", bytes(64), b"RIFF\0\0\0\0AVI ", b"MZ"], ids=range(4))
def test_what_is_no_picture(head: bytes) -> None:
    with pytest.raises(Refused) as refused:
        kind_of(head)
    assert refused.value.status == 415
