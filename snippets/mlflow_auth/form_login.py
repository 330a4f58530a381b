"""Signs in through an HTML login page, as a browser without JavaScript would."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import requests

from snippets.mlflow_auth import errors
from snippets.mlflow_auth.settings import Settings
from snippets.mlflow_auth.web import onward, origin, said

HTML = {"Accept": "text/html"}
STEPS = 12  # redirects and pages; a login takes five


@dataclass
class Form:
    """A form of a page: where it goes, and what it carries."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    user: str = ""  # the field for the account
    password: str = ""  # the field for the password
    buttons: int = 0


class FormParser(HTMLParser):
    """Reads the forms of a page into :attr:`forms`."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form, a field or a button."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = found.get("method", "get").upper()
            self._open = Form(found.get("action", ""), method)
            self.forms.append(self._open)
        elif self._open is not None and tag in ("input", "button"):
            default = "text" if tag == "input" else "submit"
            kind = found.get("type", default).lower()
            _note(self._open, kind, found.get("name", ""), found.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        """Close a form."""
        if tag == "form":
            self._open = None


def _note(form: Form, kind: str, name: str, value: str) -> None:
    """Put one field into a form."""
    if kind in ("submit", "image"):
        form.buttons += 1
    if kind == "password":
        form.password = form.password or name
    elif kind in ("text", "email") and not form.user:
        form.user = name
    if name and kind in ("hidden", "text", "email", "submit"):
        form.fields.setdefault(name, value)


def form_login(
    web: requests.Session, settings: Settings, authorization_url: str
) -> str:
    """Return the callback URL that a browser would be sent to after signing in.

    Follows redirects and pages until one leads to the redirect URI, which is not
    called. Fills in the form that has a password field, and agrees to a page with one
    form and one button. Every address is https, and the form goes to the issuer.

    Raises
    ------
    BadCredentials, CaptchaRequired
        If the page comes again after the password was sent.
    UnexpectedAnswer
        If a page is neither of the two; many ask for the user first, or for a second
        factor, and need the device login.
    """
    target = parse_qs(urlsplit(authorization_url).query).get("redirect_uri", [""])[0]
    answer, sent = web.request("GET", authorization_url, headers=HTML), False
    for _ in range(STEPS):
        if answer.is_redirect:
            url = onward(answer, answer.headers["Location"])
            if url.partition("?")[0] == target.partition("?")[0]:
                return url
            answer = web.request("GET", url, headers=HTML)
            continue
        form = _form(answer)
        if form.password:
            if sent:
                raise _refused(answer)
            _fill(form, settings, answer)
            sent = True
        answer = _submit(web, form, answer)
    raise errors.UnexpectedAnswer(
        f"the login did not end within {STEPS} pages", answer.url
    )


def _form(answer: requests.Response) -> Form:
    """Return the form to fill in or to agree to."""
    parser = FormParser()
    parser.feed(answer.text)
    asking = [form for form in parser.forms if form.password]
    agreeing = [form for form in parser.forms if form.buttons == 1]
    if asking:
        return asking[0]
    if answer.ok and len(parser.forms) == len(agreeing) == 1 and not agreeing[0].user:
        return agreeing[0]
    raise errors.UnexpectedAnswer(
        f"the page has no form with a password and none to agree to: {said(answer)}",
        answer.url,
        "set MLFLOW_SSO_LOGIN=device, and sign in with a browser",
    )


def _fill(form: Form, settings: Settings, page: requests.Response) -> None:
    """Fill in user and password, if the form goes to the issuer's own origin."""
    goal = onward(page, form.action)
    if origin(goal) != origin(settings.issuer) or form.method != "POST":
        raise errors.UnexpectedAnswer(
            "the form would send the password elsewhere than to "
            f"{settings.issuer}, or in an address",
            goal,
            "nothing was sent; check MLFLOW_SSO_ISSUER",
        )
    if not form.user:
        raise errors.UnexpectedAnswer("the form has no field for the user", page.url)
    form.fields[form.user] = settings.need("username")
    form.fields[form.password] = settings.need("password").reveal()


def _submit(
    web: requests.Session, form: Form, page: requests.Response
) -> requests.Response:
    """Send a form to where it goes, over TLS only."""
    goal = onward(page, form.action)
    if form.method == "POST":
        return web.request("POST", goal, data=form.fields)
    return web.request("GET", goal, params=form.fields)


def _refused(answer: requests.Response) -> errors.AuthError:
    """Return why the login page came again."""
    text = said(answer)
    if "captcha" in answer.text.lower():
        return errors.CaptchaRequired(
            f"the page asks for a captcha: {text}", answer.url
        )
    return errors.BadCredentials(f"the page came again: {text}", answer.url)
