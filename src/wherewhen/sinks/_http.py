"""Requests to a web server, whose answers decide whether a message is tried again."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from wherewhen.core.addresses import Address
from wherewhen.core.contracts.sinks import Undelivered
from wherewhen.core.errors import ConfigError
from wherewhen.core.secret_text import filled

if TYPE_CHECKING:
    import httpx

TIMEOUT = 10.0


def check_url(name: str, url: str) -> None:
    """ConfigError for a setting that is no address of a web server, or is not filled in."""
    if not url.startswith(("http://", "https://", "${")):
        raise ConfigError(f"{name}: expected an address such as https://example.org/hook")


class Server:
    """A web server: ``url`` with its secrets filled in opens it, and is never shown.

    Redirects are not followed. 410 Gone and other refusals (4xx) end a message, 429 and 503 are tried again after
    ``Retry-After``, everything else later.
    """

    def __init__(self, sink: str, url: str) -> None:
        try:
            import httpx
        except ImportError:
            raise ConfigError(f'{sink}: this sink needs pip install "wherewhen[live]"') from None
        self._url = filled(url, is_address=True)
        self.shown = Address(self._url)
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=False)

    def request(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        """The answer to a request for a path below the address, whatever its code; Undelivered without one."""
        import httpx

        try:
            return self._client.request(method, self._url.rstrip("/") + path if path else self._url, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Undelivered(f"{self.shown}: {type(error).__name__}") from None

    def check(self, answer: httpx.Response, hint: str = "") -> None:
        """Undelivered for an answer that is no success; ``hint`` is what to do about a refusal."""
        if answer.is_success:
            return
        cause = f"{self.shown} answers {answer.status_code}"
        if answer.status_code in (429, 503):
            raise Undelivered(cause, _wait(answer.headers.get("Retry-After")))
        final = 400 <= answer.status_code < 500 and answer.status_code not in (401, 403, 408)
        raise Undelivered(f"{cause}{hint}", final=final)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _wait(header: str | None) -> float | None:
    """Seconds of a header Retry-After, which is a number or a date; None where it is neither."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
