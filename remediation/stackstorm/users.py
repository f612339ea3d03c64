"""The StackStorm user of our credentials."""

from dataclasses import dataclass

from remediation.stackstorm.typed_json import as_list, as_object, as_text


@dataclass(frozen=True, slots=True)
class UserInfo:
    """The user of the credentials. ``method``: StackStorm's name of the authentication method.

    Without RBAC every user is an admin.
    """

    username: str
    method: str
    rbac_enabled: bool
    roles: tuple[str, ...]
    is_admin: bool


def read_user(value: object) -> UserInfo:
    """Read the response of ``/user``; raise ValueError if it names no user."""
    body = as_object(value)
    rbac = as_object(body.get("rbac"))
    if not as_text(body.get("username")):
        raise ValueError("the response has no user")
    return UserInfo(
        username=as_text(body.get("username")),
        method=as_text(as_object(body.get("authentication")).get("method")),
        rbac_enabled=rbac.get("enabled") is True,
        roles=tuple(map(as_text, as_list(rbac.get("roles")))),
        is_admin=rbac.get("is_admin") is True,
    )
