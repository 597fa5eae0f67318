"""The HTTP interface: what is ordered is checked, listed, followed, and refused in words."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from PIL import Image

from impasto.storage import StorageDown
from impasto.studio.jobs import Jobs

RECIPE: dict[str, Any] = {
    "photo": "sample:coffee",
    "styles": [{"source": "starry-night"}],
    "method": "adain",
}


def ordered(client: httpx.Client, **settings: Any) -> httpx.Response:
    return client.post("/v1/jobs", json={"recipe": {**RECIPE, **settings}})


def uploaded(client: httpx.Client, size: tuple[int, int] = (32, 24)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, "PNG")
    return str(client.post("/v1/uploads", content=file.getvalue()).json()["id"])


def test_the_catalogue(visitor: httpx.Client) -> None:
    styles = visitor.get("/v1/styles").json()["styles"]
    names = [style["name"] for style in styles]
    assert "starry-night" in names
    night = styles[names.index("starry-night")]
    assert night["artist"] == "Vincent van Gogh"
    assert {"johnson", "dumoulin", "adain", "gatys"} <= {*night["methods"]}
    swatch = visitor.get(night["swatch"])
    assert Image.open(io.BytesIO(swatch.content)).size == (192, 192)
    assert visitor.get("/v1/styles/none/swatch").status_code == 404


def test_the_methods(visitor: httpx.Client) -> None:
    methods = visitor.get("/v1/methods").json()["methods"]
    assert methods[0]["name"] == "auto"
    by_name = {method["name"]: method for method in methods}
    assert by_name["gatys"]["steps"] is True
    assert by_name["johnson"]["any_style"] is False
    assert "levels" in by_name["wct"]["options"]
    assert all(method["good"] and method["bad"] for method in methods)


def test_the_samples(visitor: httpx.Client) -> None:
    samples = visitor.get("/v1/samples").json()["samples"]
    assert len(samples) >= 4
    for sample in samples:
        picture = Image.open(io.BytesIO(visitor.get(sample["url"]).content))
        assert picture.size == (sample["width"], sample["height"])
    assert visitor.get("/v1/samples/data").status_code == 404


def test_an_order_waits_in_the_queue(visitor: httpx.Client) -> None:
    answer = ordered(visitor, size=64)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["kind"], job["photo"]) == ("queued", "picture", "sample:coffee")
    assert job["position"] >= 1
    assert job["recipe"]["size"] == 64
    assert visitor.get(answer.headers["location"]).json()["id"] == job["id"]
    early = visitor.get(f"/v1/jobs/{job['id']}/result")
    assert early.status_code == 409
    assert "queued" in early.json()["detail"]
    assert visitor.get(f"/v1/jobs/{job['id']}/preview").status_code == 404
    assert visitor.get("/v1/archive", params={"id": job["id"]}).status_code == 409
    cancelled = visitor.post(f"/v1/jobs/{job['id']}/cancel").json()
    assert cancelled["state"] == "cancelled"


def test_orders_can_name_uploads(visitor: httpx.Client) -> None:
    photo, style, mask = uploaded(visitor), uploaded(visitor), uploaded(visitor)
    masks = [{"mask": mask, "style": style}, {"mask": "alpha", "style": "udnie"}]
    answer = ordered(visitor, photo=photo, masks=masks)
    assert answer.status_code == 202, answer.text
    visitor.delete(f"/v1/jobs/{answer.json()['id']}")


REFUSED = {
    "photo": ({"photo": "/etc/passwd"}, "upload"),
    "no photo": ({"photo": ""}, "upload"),
    "relative": ({"photo": "../../secret.png"}, "upload"),
    "style": ({"styles": [{"source": "stary-night"}]}, "starry-night"),
    "style file": ({"styles": [{"source": "/tmp/x.style.safetensors"}]}, "Unknown style"),
    "mask": ({"masks": [{"mask": "x.png", "style": "udnie"}]}, "upload"),
    "sample": ({"photo": "sample:data_dir"}, "Unknown sample"),
    "no style": ({"styles": []}, "style"),
    "size": ({"size": 5000}, "1024"),
    "device": ({"device": "cuda"}, "device"),
    "encoder": ({"encoder": "vgg19"}, "compact"),
    "iterations": ({"method": "gatys", "iterations": 90_000}, "2000"),
    "unlearned": ({"method": "johnson", "styles": [{"source": "card-players"}]}, "not learned"),
    "control": ({"levels": 3}, "wct"),
    "method": ({"method": "magic"}, "Unknown method"),
    "misspelt": ({"stile": 1}, "recipe.stile"),
    "quotes": ({"size": "64"}, "recipe.size"),
    "weights": ({"styles": [{"source": "udnie", "weight": 0}]}, "sum to zero"),
    "infinite": ({"strength": 1e999}, "recipe"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_orders_that_cannot_be_carried_out(visitor: httpx.Client, name: str) -> None:
    settings, words = REFUSED[name]
    text = json.dumps({"recipe": {**RECIPE, **settings}})
    headers = {"Content-Type": "application/json"}
    answer = visitor.post("/v1/jobs", content=text, headers=headers)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert visitor.get("/v1/jobs").json()["jobs"] == []


def test_bodies_that_are_no_orders(visitor: httpx.Client) -> None:
    post = visitor.post
    assert post("/v1/jobs", content=b"recipe=1").status_code == 415
    json = {"Content-Type": "application/json; charset=utf-8"}
    for body in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"recipe": 7}', b"[" * 100_000):
        answer = post("/v1/jobs", content=body, headers=json)
        assert (answer.status_code, answer.headers["content-type"]) == (
            422,
            "application/problem+json",
        )
    assert post("/v1/jobs", content=b" " * 300_000, headers=json).status_code == 413


def test_uploads_of_others_are_not_there(site: Any, visitor: httpx.Client) -> None:
    with site.visitor() as other:
        theirs = uploaded(other)
    answer = ordered(visitor, photo=theirs)
    assert answer.status_code == 404
    assert "upload" in answer.json()["detail"]


def test_jobs_belong_to_their_owner(site: Any, visitor: httpx.Client) -> None:
    id = ordered(visitor).json()["id"]
    with site.visitor() as other:
        assert other.get("/v1/jobs").json()["jobs"] == []
        for method, path in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/cancel"),
            ("GET", "/preview"),
            ("GET", "/result"),
        ):
            answer = other.request(
                method,
                f"/v1/jobs/{id}{path}",
                json={"starred": True} if method == "PATCH" else None,
            )
            assert answer.status_code == 404, path
        assert other.get("/v1/archive", params={"id": id}).status_code == 404
    assert visitor.delete(f"/v1/jobs/{id}").status_code == 204
    assert visitor.get(f"/v1/jobs/{id}").status_code == 404


def test_jobs_are_listed_in_pages(visitor: httpx.Client) -> None:
    ids = [ordered(visitor, seed=seed).json()["id"] for seed in range(3)]
    visitor.patch(f"/v1/jobs/{ids[1]}", json={"starred": True})
    page = visitor.get("/v1/jobs", params={"limit": 2}).json()
    assert [job["id"] for job in page["jobs"]] == [ids[2], ids[1]]
    rest = visitor.get("/v1/jobs", params={"before": page["next"]}).json()
    assert [job["id"] for job in rest["jobs"]] == [ids[0]]
    assert rest["next"] is None
    starred = visitor.get("/v1/jobs", params={"starred": True}).json()["jobs"]
    assert [(job["id"], job["starred"]) for job in starred] == [(ids[1], True)]
    assert visitor.get("/v1/jobs", params={"limit": 0}).status_code == 422


def test_the_same_key_is_the_same_job(visitor: httpx.Client) -> None:
    def post(seed: int, key: str) -> httpx.Response:
        order = {"recipe": {**RECIPE, "seed": seed}}
        return visitor.post("/v1/jobs", json=order, headers={"Idempotency-Key": key})

    first, again = post(1, "a"), post(1, "a")
    assert first.json()["id"] == again.json()["id"]
    assert post(2, "a").status_code == 422
    assert post(1, "b").json()["id"] != first.json()["id"]
    assert len(visitor.get("/v1/jobs").json()["jobs"]) == 2
    assert post(1, "x" * 300).status_code == 422


def test_a_full_queue_says_when_to_come_back(visitor: httpx.Client) -> None:
    answers = [ordered(visitor, seed=seed) for seed in range(7)]
    assert [answer.status_code for answer in answers] == [202] * 6 + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "waiting" in answers[-1].json()["detail"]
    for job in visitor.get("/v1/jobs").json()["jobs"]:
        visitor.delete(f"/v1/jobs/{job['id']}")


def test_comparisons(visitor: httpx.Client) -> None:
    asked = {
        "photo": "sample:coffee",
        "styles": ["starry-night", "card-players"],
        "methods": ["johnson", "adain"],
        "size": 64,
    }
    answer = visitor.post("/v1/comparisons", json=asked, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202
    made = answer.json()
    cells = [
        (job["recipe"]["styles"][0]["source"], job["recipe"]["method"]) for job in made["jobs"]
    ]
    assert cells == [  # johnson has not learned the other
        ("starry-night", "johnson"),
        ("starry-night", "adain"),
        ("card-players", "adain"),
    ]
    again = visitor.post("/v1/comparisons", json=asked, headers={"Idempotency-Key": "k"}).json()
    assert [job["id"] for job in again["jobs"]] == [job["id"] for job in made["jobs"]]
    found = visitor.get(f"/v1/comparisons/{made['id']}").json()["jobs"]
    assert [job["id"] for job in found] == [job["id"] for job in made["jobs"]]
    listed = visitor.get("/v1/jobs", params={"comparison": made["id"]}).json()["jobs"]
    assert {job["comparison"] for job in listed} == {made["id"]}
    assert visitor.get(f"/v1/comparisons/{'0' * 32}").status_code == 404


def test_a_comparison_is_ordered_wholly_or_not_at_all(visitor: httpx.Client) -> None:
    for seed in range(4):
        ordered(visitor, seed=seed)
    asked = {"photo": "sample:coffee", "styles": ["udnie"], "methods": ["adain", "wct", "gatys"]}
    assert visitor.post("/v1/comparisons", json=asked).status_code == 429
    assert len(visitor.get("/v1/jobs").json()["jobs"]) == 4
    none = {"photo": "sample:coffee", "styles": ["card-players"], "methods": ["johnson"]}
    assert visitor.post("/v1/comparisons", json=none).status_code == 422
    many = {"photo": "sample:coffee", "styles": ["udnie", "great-wave", "the-scream"]}
    answer = visitor.post("/v1/comparisons", json={**many, "methods": ["adain", "wct", "gatys"]})
    assert answer.status_code == 422
    assert "9 pictures" in answer.json()["detail"]


def compared(client: httpx.Client, **cells: list[str]) -> httpx.Response:
    asked = {"photo": "sample:coffee", "styles": ["udnie"], "methods": ["adain"], **cells}
    return client.post("/v1/comparisons", json=asked, headers={"Idempotency-Key": "cells"})


def test_a_key_with_other_cells_deletes_nothing(visitor: httpx.Client) -> None:
    made = compared(visitor, styles=["udnie", "great-wave"]).json()["jobs"]
    other = compared(visitor, styles=["udnie", "the-scream"])
    assert other.status_code == 422
    assert "another order" in other.json()["detail"]
    kept = visitor.get("/v1/jobs").json()["jobs"]
    assert {job["id"] for job in kept} == {job["id"] for job in made}
    for job in made:
        visitor.delete(f"/v1/jobs/{job['id']}")


def test_a_key_that_comes_again_into_a_full_queue_deletes_nothing(visitor: httpx.Client) -> None:
    made = compared(visitor).json()["jobs"]
    others = [ordered(visitor, seed=seed).json() for seed in range(4)]  # room for one more
    styles = ["udnie", "great-wave", "the-scream"]
    assert compared(visitor, styles=styles).status_code == 429
    jobs = visitor.get("/v1/jobs").json()["jobs"]
    assert {job["id"] for job in jobs} == {job["id"] for job in (*made, *others)}
    for job in jobs:
        visitor.delete(f"/v1/jobs/{job['id']}")


def test_an_upload_near_its_end_is_not_taken(site: Any, visitor: httpx.Client) -> None:
    photo, style = uploaded(visitor), uploaded(visitor)
    both = {"photo": photo, "styles": [{"source": style}]}
    job = ordered(visitor, **both).json()
    visitor.delete(f"/v1/jobs/{job['id']}")
    key = f"uploads/{visitor.cookies['impasto']}/{style}/about.json"
    about = json.loads(site.studio.storage.get(key))
    soon = datetime.now(UTC) + timedelta(minutes=9)
    site.studio.storage.put(key, json.dumps({**about, "expires": soon.isoformat()}).encode())
    answer = ordered(visitor, **both)
    assert answer.status_code == 422
    assert "upload it again" in answer.json()["detail"]


def test_a_storage_that_is_away_is_said(
    site: Any, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = uploaded(visitor)

    def fail(key: str) -> None:
        raise StorageDown("The storage does not answer.")

    monkeypatch.setattr(site.services.storage, "get", fail)
    for path in (f"/v1/uploads/{photo}", f"/v1/uploads/{photo}/preview"):
        answer = visitor.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert "storage does not answer" in answer.json()["detail"]


def test_an_upload_that_is_not_there_tells_no_secret(visitor: httpx.Client) -> None:
    uploaded(visitor)
    answer = visitor.get(f"/v1/uploads/u{'0' * 32}/preview")
    assert answer.status_code == 404
    assert visitor.cookies["impasto"] not in answer.text
    assert "expired" in answer.json()["detail"]


TABLE = {
    "adain": [[256, 0.1, 300], [512, 0.4, 350], [1024, 1.6, 500], [2048, 6.4, 1100]],
    "gatys/best": [[256, 40, 500], [512, 160, 900], [1024, 640, 2500], [2048, 2560, 9000]],
}


def test_estimates(site: Any, visitor: httpx.Client) -> None:
    import json

    beat = json.dumps({"speeds": TABLE}).encode()
    site.studio.storage.put("workers/test.json", beat)
    site.services.speeds._until = 0
    photo = uploaded(visitor, (512, 512))
    asked = {"photo": photo, "recipe": {"styles": [{"source": "card-players"}], "quality": "best"}}
    told = visitor.post("/v1/estimates", json=asked).json()
    found = {one["method"]: one for one in told["estimates"]}
    assert found["adain"]["seconds"] == pytest.approx(0.4, rel=0.01)
    assert found["adain"]["fits"] is False  # quality is no control of it
    assert found["gatys"]["seconds"] == pytest.approx(160, rel=0.01)
    assert found["gatys"]["fits"] is True
    assert "not learned" in found["johnson"]["reason"]
    assert (found["gatys"]["width"], found["gatys"]["height"]) == (512, 512)
    assert told["queue"]["waiting"] >= 0
    large = {"width": 4000, "height": 2000, "recipe": {"quality": "best", "size": 1024}}
    gatys = visitor.post("/v1/estimates", json=large).json()["estimates"][-1]
    assert (gatys["method"], gatys["width"], gatys["height"]) == ("gatys", 1024, 512)
    assert gatys["seconds"] == pytest.approx(320, rel=0.05)
    too_large = visitor.post("/v1/estimates", json={**large, "recipe": {"size": 2048}}).json()
    assert all("1024 px" in one["reason"] for one in too_large["estimates"])
    assert visitor.post("/v1/estimates", json={"recipe": {}}).status_code == 422
    order = ordered(visitor, photo=photo).json()
    assert order["estimate_seconds"] == pytest.approx(0.4, rel=0.01)
    site.studio.storage.delete_prefix("workers/")
    site.services.speeds._until = 0


def test_what_is_not_there(visitor: httpx.Client) -> None:
    assert visitor.get("/v1/nothing").status_code == 404
    wrong = visitor.put("/v1/jobs")
    assert wrong.status_code == 405
    assert wrong.headers["content-type"] == "application/problem+json"
    assert "allow" in wrong.headers
    assert visitor.get("/v1/jobs/" + "0" * 32).json()["title"] == "Not Found"
    for page in ("/docs", "/redoc"):  # they would fetch scripts from elsewhere
        assert visitor.get(page).status_code == 404


def test_mistakes_of_ours_are_told_without_details(
    visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Jobs, "list", fail)
    answer = visitor.get("/v1/jobs")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in answer.text
    assert "secret" in caplog.text
