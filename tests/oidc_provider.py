"""An OpenID provider of the tests' own: a real HTTP server on loopback, which lies when it is told to."""

import json
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey


@cache
def drawn_key(name: str, kid: str = "one") -> RSAKey:
    """One for all tests: to draw it takes long."""
    return RSAKey.generate_key(2048, {"kid": kid}, private=True)


class OidcProvider:
    """Lets in whoever comes; `claims` are added to the id token, `lies` to what it publishes."""

    def __init__(self) -> None:
        self.key = self.signer = drawn_key("one")
        self.claims: dict[str, Any] = {}
        self.lies: dict[str, Any] = {}
        self.token: str | None = None
        self.odd_keys: list[Any] = []
        self.asked: dict[str, str] = {}
        self.redeemed: list[dict[str, str]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/.well-known/openid-configuration":
                    self._say(provider.published())
                else:
                    keys = KeySet([provider.key]).as_dict(private=False)["keys"]
                    self._say({"keys": [*provider.odd_keys, *keys]})

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                sent = {name: values[0] for name, values in form.items()} | {
                    "login": self.headers["authorization"] or ""
                }
                provider.redeemed.append(sent)
                good = create_s256_code_challenge(sent["code_verifier"]) == provider.asked["code_challenge"]
                self._say({"id_token": provider.id_token()} if good else {"error": "invalid_grant"})

            def _say(self, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def published(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        } | self.lies

    def lets_in(self, address: str) -> dict[str, str]:
        """The browser is at `address`: what it comes back with."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        return {"state": self.asked["state"], "code": "the-code"}

    def id_token(self) -> str:
        if self.token is not None:
            return self.token
        now = round(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.asked["client_id"],
            "sub": "42",
            "email": "ada@example.org",
            "nonce": self.asked["nonce"],
            "iat": now,
            "exp": now + 300,
            "groups": ["data"],
        }
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.signer.kid}, claims, self.signer)
