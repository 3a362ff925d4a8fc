from __future__ import annotations

import json
from typing import Any

import pytest

from mulcot.serving.api_keys import Tokens, new_token

from .opening import Open, Site, ask, serve


def answer_with(page: Any, status: int, body: Any = None, **headers: str) -> None:
    """Lets the next questions end like this."""
    page.route(
        "**/v1/predict/stream",
        lambda route: route.fulfill(
            status=status,
            body=json.dumps(body) if body is not None else "<html>a proxy's own page</html>",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        ),
    )


def problem(page: Any) -> str:
    page.fill("#text", "a post")
    page.click("#send")
    page.wait_for_selector("#ask-problem:not([hidden])")
    assert page.is_enabled("#send")
    return str(page.inner_text("#ask-problem"))


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (429, {"Retry_After": "7"}, "Too many are asking just now. Try again in 7 seconds."),
        (413, {}, "That is too large. Allowed are 5 bytes."),
        (422, {}, "This cannot be asked. Allowed are 5 bytes."),
        (403, {}, "The service does not answer this page. Allowed are 5 bytes."),
        (503, {}, "The service has no room or is about to stop. Try again in a moment."),
        (504, {}, "The answer was not ready in time. Try again, or ask for the label only."),
        (500, {}, "The service failed on this request (500). Allowed are 5 bytes."),
    ],
)
def test_every_refusal_is_one_plain_sentence(
    open_page: Open, site: Site, status: int, headers: dict[str, str], said: str
) -> None:
    page = open_page(site, expected=(str(status),))
    answer_with(page, status, {"error": {"message": "allowed are 5 bytes", "code": "x"}}, **headers)
    assert problem(page) == said


def test_a_reply_of_somebody_else_is_no_puzzle(open_page: Open, site: Site) -> None:
    page = open_page(site, expected=("502",))
    answer_with(page, 502)
    assert problem(page) == "The service failed on this request (502)."


def test_being_offline_is_said(open_page: Open, site: Site) -> None:
    page = open_page(site, expected=("ERR_INTERNET_DISCONNECTED",))
    page.context.set_offline(True)
    assert problem(page) == "You are offline. Connect to the network and try again."
    page.context.set_offline(False)
    ask(page, "back again")
    assert page.is_hidden("#ask-problem")


def test_a_service_that_is_gone_is_said(open_page: Open, site: Site) -> None:
    page = open_page(site, expected=("ERR_CONNECTION_REFUSED",))
    page.route("**/v1/predict/stream", lambda route: route.abort("connectionrefused"))
    assert "cannot be reached" in problem(page)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ("", "The connection broke before the answer was complete."),
        (
            'event: error\ndata: {"error": {"message": "late", "code": "deadline"}}\n\n',
            "The answer was not ready in time. Try again, or ask for the label only.",
        ),
    ],
)
def test_an_answer_that_breaks_off_keeps_what_has_come(open_page: Open, site: Site, events: str, said: str) -> None:
    page = open_page(site)
    begun = (
        'event: probabilities\r\ndata: {"label": "neutral", "probabilities": {"positive": 0.2, "neutral": 0.8}}\r\n\r\n'
    )
    page.route(
        "**/v1/predict/stream",
        lambda route: route.fulfill(status=200, body=begun + events, content_type="text/event-stream"),
    )
    assert problem(page) == said
    assert page.locator(".bars li").count() == 2
    assert page.inner_text(".note") == "There is no complete answer."


def test_the_real_service_refuses_in_plain_words(open_page: Open, site: Site) -> None:
    page = open_page(site, expected=("422",))
    page.fill("#text", " ")
    page.evaluate("document.getElementById('text').value = '\\n'")
    page.click("#send")
    page.wait_for_selector("#ask-problem:not([hidden])")
    assert page.inner_text("#ask-problem") == "This cannot be asked. The text is empty."


def test_a_token_is_asked_for_only_where_one_is_needed(open_page: Open) -> None:
    token = new_token("anna")
    with serve(tokens=Tokens(dict([token.line.split()]))) as site:
        page = open_page(site, ready=False, expected=("401",), permissions=["clipboard-read", "clipboard-write"])
        page.wait_for_selector("#token-form:not([hidden])")
        assert page.evaluate("document.activeElement.id") == "token"
        page.fill("#token", "wrong")
        page.click("text=Use token")
        page.wait_for_selector("#token-form:not([hidden])")
        page.fill("#token", token.secret)
        page.click("text=Use token")
        page.wait_for_selector("#send:enabled")
        assert page.is_hidden("#token-form")
        assert page.is_hidden("#ask-problem")
        ask(page, "with a token")
        page.click("text=Copy as curl")
        page.wait_for_selector("text=Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert "$MULCOT_TOKEN" in copied
        assert token.secret not in copied
        page.reload()
        page.wait_for_selector("#send:enabled")
        assert token.secret not in page.evaluate("JSON.stringify({...localStorage})")
        assert page.evaluate("sessionStorage.getItem('mulcot-token')") == token.secret
