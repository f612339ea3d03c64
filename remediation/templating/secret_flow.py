"""Follow secrets through templates: find each template whose value may depend on one.

A secret is given as the path of a variable, such as ``("config", "db_password")``. A template
reads it if it mentions that path, a part of it, or an object that contains it, anywhere: also in a
filter, a condition or a loop. A key that is computed counts as every key.

This is decided from the source alone, so it holds for any value and costs nothing per rendering.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

from remediation.templating.errors import TemplateError, field_errors
from remediation.templating.parsed_template import ParsedTemplate, Path, parse
from remediation.templating.traversal import is_template

HIDDEN_REASON = (
    "cannot be computed; the reason is not shown because this template reads a secret: test it"
    " with a harmless config value"
)


def secrets_read(parsed: ParsedTemplate, secrets: Collection[Path]) -> list[str]:
    """Return the paths in a template that read a secret, as written in it."""
    return sorted(
        ".".join(read) for read in parsed.reads if any(_overlap(read, path) for path in secrets)
    )


def reading_secrets(sources: Iterable[str], secrets: Iterable[Iterable[str]]) -> frozenset[str]:
    """Return those templates that read a secret, or that cannot be parsed."""
    paths = as_paths(secrets)
    return frozenset(source for source in sources if _reads_secret(source, paths))


def as_paths(secrets: Iterable[Iterable[str]]) -> frozenset[Path]:
    """Return secrets as paths, also after they were sent to a renderer process as lists."""
    if isinstance(secrets, frozenset):
        return secrets
    return frozenset(tuple(path) for path in secrets)


def mask_templates(
    source: object, rendered: object, templates: Collection[str], *, by: str
) -> object:
    """Return ``rendered`` with the value of each of ``templates`` replaced.

    ``source``: the value that was rendered. Values that it does not contain stay unchanged.
    """
    if isinstance(source, dict) and isinstance(rendered, dict):
        return {
            key: mask_templates(source[key], value, templates, by=by) if key in source else value
            for key, value in rendered.items()
        }
    if isinstance(source, list) and isinstance(rendered, list):
        pairs = zip(source, rendered, strict=True)
        return [mask_templates(one, value, templates, by=by) for one, value in pairs]
    return by if isinstance(source, str) and source in templates else rendered


def secret_texts(source: object, rendered: object, templates: Collection[str]) -> Iterator[str]:
    """Yield the texts in ``rendered`` that ``templates`` were rendered to."""
    if isinstance(source, str):
        if source in templates:
            yield from _texts(rendered)
    elif isinstance(source, dict) and isinstance(rendered, dict):
        for key in source.keys() & rendered.keys():
            yield from secret_texts(source[key], rendered[key], templates)
    elif isinstance(source, list) and isinstance(rendered, list):
        for one, value in zip(source, rendered, strict=True):
            yield from secret_texts(one, value, templates)


def secret_members(value: object, is_secret_name: Callable[[str], bool], path: Path) -> list[Path]:
    """Return the paths of members with a secret name below ``path``.

    A list is not divided: its own path is returned if it contains such a member.
    """
    found: list[Path] = []
    if isinstance(value, dict):
        for key, item in value.items():
            if is_secret_name(key):
                if item not in (None, "", True, False):
                    found.append((*path, key))
            elif isinstance(item, dict | list):
                found += secret_members(item, is_secret_name, (*path, key))
    elif isinstance(value, list) and any(
        secret_members(item, is_secret_name, path) for item in value
    ):
        found.append(path)
    return found


def holds_secret(value: object, templates: Collection[str]) -> bool:
    """Return whether a parameter contains one of ``templates``."""
    if isinstance(value, dict):
        return any(holds_secret(item, templates) for item in value.values())
    if isinstance(value, list):
        return any(holds_secret(item, templates) for item in value)
    return isinstance(value, str) and is_template(value) and value in templates


def condition_problems(parsed: ParsedTemplate, secrets: Collection[Path]) -> Iterator[str]:
    """Yield why a condition is refused: its result would be shown, and reveal the secret."""
    for read in secrets_read(parsed, secrets):
        yield (
            f"{read} is or contains a secret, which a condition cannot read: its result is shown."
            " Compare it in the action instead"
        )


def is_public_reason(parsed: ParsedTemplate, reason: str) -> bool:
    """Return whether an error only names a variable that the template's source names."""
    named, is_undefined, _rest = reason.partition(" is not defined")
    written = {".".join(path[:end]) for path in parsed.reads for end in range(1, len(path) + 1)}
    return bool(is_undefined) and named in written


def _reads_secret(source: str, secrets: Collection[Path]) -> bool:
    try:
        with field_errors("template"):
            return bool(secrets_read(parse(source), secrets))
    except TemplateError:
        return True


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _overlap(read: Path, secret: Path) -> bool:
    length = min(len(read), len(secret))
    return read[:length] == secret[:length]
