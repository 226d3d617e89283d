"""Fetching one published file over https, bounded in size and time."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import IO

from netdsl.data.errors import data_error

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, bytes so far, and bytes in all when the server says."""

TIMEOUT = 30.0
"""Seconds to wait for the server, at each step."""

_CHUNK = 1 << 18


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only where it leads to https again."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise urllib.error.URLError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def download(url: str, path: Path, limit: int, progress: Progress | None = None) -> None:
    """Write what `url` gives to `path`, at most `limit` bytes.

    Errors: NetError, with the reason, when the address cannot be reached or gives more than that.
    """
    if not url.startswith("https://"):
        raise ValueError(f"{url} is not https")
    try:
        with open_url(url) as answer, path.open("wb") as file:
            announced = answer.headers.get("Content-Length", "")
            total = int(announced) if announced.isdecimal() else None
            done = 0
            while chunk := answer.read(_CHUNK):
                done += len(chunk)
                if done > limit:
                    raise data_error(f"{url} gives more than the {limit} bytes expected")
                file.write(chunk)
                if progress is not None:
                    progress(path.name, done, total)
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise data_error(f"cannot fetch {url}: {reason}") from error


def open_url(url: str) -> http.client.HTTPResponse:
    """Open an address; apart so that tests can stand in for the network."""
    request = urllib.request.Request(url, headers={"User-Agent": "netdsl"})
    opener = urllib.request.build_opener(_HttpsOnly)
    answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT)
    return answer
