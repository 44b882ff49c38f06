"""A stored price that is damaged, through the API: left out, named, and taken away."""

from __future__ import annotations

from pathlib import Path

from recorded import blank, build, writing

URL = "/api/v1/prices"


def test_a_damaged_row_is_left_out_named_and_removed(tmp_path: Path) -> None:
    settings = blank(tmp_path)
    client = build(settings).test_client()
    ids = [
        client.post(URL, json={"model": model, "input": 1}).json["price"]["id"]
        for model in ("damaged", "whole")
    ]
    with writing(settings) as conn:
        conn.execute("UPDATE stored_prices SET body = '[' WHERE id = ?", (ids[0].removeprefix("stored/"),))
    found = client.get(URL, query_string={"model": "whole"}).json
    assert [one["id"] for one in found["items"]] == ids[1:]
    assert found["left_out"] == {ids[0]: "what is stored of it cannot be read"}
    assert client.delete(f"{URL}/{ids[0]}").json["model"] == ""
    assert client.delete(f"{URL}/{ids[1]}").status_code == 200
    assert client.get(URL).json["left_out"] == {}
