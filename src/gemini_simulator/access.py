"""Who asks: the credential of a request, in any of the three places where Google takes one."""

from __future__ import annotations

from gemini_simulator.http import ApiError

SIGN_IN = "https://developers.google.com/identity/sign-in/web/devconsole-project"


def credentials(query: dict[str, str], headers: dict[str, str], websocket: bool = False) -> list[str]:
    """Every credential that the request carries: ``x-goog-api-key``, ``?key=``, ``Authorization``."""
    found = [headers[name] for name in ("x-goog-api-key",) if headers.get(name)]
    found += [query[name] for name in ("key", "access_token") if query.get(name)]
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" or (scheme.lower() == "token" and websocket):
        found += [token.strip()] if token.strip() else []
    return found


def single(found: list[str], openai: bool, headers: dict[str, str]) -> str:
    """The one credential. Raises ApiError as Google does for none, for two, and for a bearer where keys belong."""
    if len(found) > 1:
        raise ApiError(400, "Multiple authentication credentials received. Please pass only one.")
    if not found:
        raise ApiError(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key "
            "or other form of API consumer identity to call this API.",
        )
    bearer = "authorization" in headers and headers["authorization"].lower().startswith("bearer ")
    if bearer and not openai:
        raise unsupported_token()
    return found[0]


def unsupported_token() -> ApiError:
    """The 401 for a credential of the wrong kind, such as an API key sent as a bearer token."""
    return ApiError(
        401,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        f"authentication credential. See {SIGN_IN}.",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ACCESS_TOKEN_TYPE_UNSUPPORTED",
                "metadata": {
                    "method": "google.ai.generativelanguage.v1beta.GenerativeService.GenerateContent",
                    "service": "generativelanguage.googleapis.com",
                },
            }
        ],
    )
