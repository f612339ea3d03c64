"""The packs, actions and runners of the sandbox, in StackStorm's format.

The runners and the packs core and clienttest come from the recordings; linux, slack and email come
from the public packs; remediation belongs to the demo. Each pack is one file in `packs/`. In
addition to StackStorm's metadata, a workflow action has ``tasks`` and ``output``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a workflow; parameter values are Jinja templates on the workflow's parameters.

    ``after``: the tasks that must succeed first; None is the previous task in the list.
    """

    name: str
    action_ref: str
    parameters: Mapping[str, Any]
    after: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One action; ``view``: the API's JSON; ``parameters``: schemas, merged with the runner's."""

    ref: str
    pack: str
    is_enabled: bool
    runner: Mapping[str, Any]
    view: Mapping[str, Any]
    parameters: Mapping[str, Mapping[str, Any]]
    tasks: tuple[Task, ...] = ()
    output: Mapping[str, Any] = field(default_factory=dict)

    @property
    def runner_name(self) -> str:
        """The runner's name, such as "local-shell-cmd"."""
        return str(self.runner["name"])


class Catalog:
    """The installed actions: those of the named packs, and additional actions by ref."""

    def __init__(
        self, packs: Sequence[str], actions: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        runners = json.loads((HERE / "runners.json").read_text(encoding="utf-8"))
        self.runners: dict[str, dict[str, Any]] = {runner["name"]: runner for runner in runners}
        self.packs: dict[str, dict[str, Any]] = {}
        self.actions: dict[str, Action] = {}
        for name in sorted(packs):
            pack = json.loads((HERE / "packs" / f"{name}.json").read_text(encoding="utf-8"))
            self._add(pack.pop("actions"), pack)
        for ref, metadata in (actions or {}).items():
            pack_name, _, name = ref.partition(".")
            self._add([{**metadata, "name": name}], {"name": pack_name})
        self.actions = dict(sorted(self.actions.items()))
        self._by_id = {str(action.view["id"]): action for action in self.actions.values()}

    def find(self, ref_or_id: str) -> Action | None:
        """Return the action with this ref or id."""
        return self.actions.get(ref_or_id) or self._by_id.get(ref_or_id)

    def _add(self, actions: Iterable[Mapping[str, Any]], pack: Mapping[str, Any]) -> None:
        name = pack["name"]
        self.packs.setdefault(name, _pack_view(pack))
        for metadata in actions:
            action = self._action(name, metadata)
            self.actions[action.ref] = action

    def _action(self, pack: str, metadata: Mapping[str, Any]) -> Action:
        name = metadata["name"]
        runner = self.runners.get(metadata["runner_type"], self.runners["local-shell-cmd"])
        own = metadata.get("parameters", {})
        view = {
            "tags": [],
            "uid": f"action:{pack}:{name}",
            "metadata_file": f"actions/{name}.yaml",
            "name": name,
            "ref": f"{pack}.{name}",
            "description": metadata.get("description", ""),
            "enabled": metadata.get("enabled", True),
            "entry_point": metadata.get("entry_point", ""),
            "pack": pack,
            "runner_type": runner["name"],
            "parameters": own,
            "output_schema": {},
            "notify": {},
            "id": _fixed_id(f"action:{pack}:{name}"),
        }
        return Action(
            ref=view["ref"],
            pack=pack,
            is_enabled=view["enabled"],
            runner=runner,
            view=view,
            parameters=_merge(runner["runner_parameters"], own),
            tasks=tuple(
                Task(
                    task["name"],
                    task["action"],
                    task.get("parameters", {}),
                    tuple(task["after"]) if "after" in task else None,
                )
                for task in metadata.get("tasks", ())
            ),
            output=metadata.get("output", {}),
        )


def _merge(
    runner: Mapping[str, Mapping[str, Any]], own: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Merge by attribute: an action may override a single attribute of a runner's parameter."""
    merged = {name: dict(schema) for name, schema in runner.items()}
    for name, schema in own.items():
        merged[name] = merged.get(name, {}) | dict(schema)
    return merged


def _pack_view(pack: Mapping[str, Any]) -> dict[str, Any]:
    name = pack["name"]
    return {
        "uid": f"pack:{name}",
        "ref": name,
        "name": name,
        "description": pack.get("description", ""),
        "keywords": pack.get("keywords", []),
        "version": pack.get("version", "1.0.0"),
        "python_versions": ["3"],
        "author": pack.get("author", ""),
        "email": pack.get("email", ""),
        "contributors": [],
        "files": [],
        "path": f"/opt/stackstorm/packs/{name}",
        "dependencies": [],
        "system": {},
        "id": _fixed_id(f"pack:{name}"),
    }


def _fixed_id(uid: str) -> str:
    """Return an id in MongoDB's format that is the same in every sandbox."""
    return sha256(uid.encode()).hexdigest()[:24]
