"""Workflows and an action chain with inquiries, for the sandbox option ``actions``."""

SCHEMA = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "description": "Reboot the host?", "required": True},
        "reason": {"type": "string", "description": "Why"},
    },
}
ASK = {"route": "ops", "ttl": 60, "users": ["st2admin", "alice"], "schema": SCHEMA}
ACTIONS: dict[str, dict[str, object]] = {
    "clienttest.ask_wf": {
        "runner_type": "orquesta",
        "parameters": {"host": {"type": "string"}},
        "tasks": [
            {"name": "look", "action": "core.local", "parameters": {"cmd": "echo {{ host }}"}},
            {"name": "ask", "action": "core.ask", "parameters": ASK},
            {"name": "act", "action": "core.local", "parameters": {"cmd": "echo {{ ask }}"}},
        ],
        "output": {"answer": "{{ ask }}"},
    },
    "clienttest.ask_ttl_wf": {
        "runner_type": "orquesta",
        "parameters": {"ttl": {"type": "integer"}},
        "tasks": [
            {"name": "begin", "action": "core.noop"},
            {"name": "ask", "action": "core.ask", "parameters": {**ASK, "ttl": "{{ ttl }}"}},
            {
                "name": "other",
                "action": "core.local",
                "parameters": {"cmd": "sleep 6"},
                "after": ["begin"],
            },
            {
                "name": "act",
                "action": "core.local",
                "parameters": {"cmd": "true"},
                "after": ["ask"],
            },
        ],
    },
    "examples.chain-test-inquiry": {
        "runner_type": "action-chain",
        "tasks": [
            {"name": "task1", "action": "core.ask", "parameters": {"route": "developers"}},
            {"name": "task2", "action": "core.local", "parameters": {"cmd": "echo {{ task1 }}"}},
        ],
    },
    "clienttest.ask_nested_wf": {
        "runner_type": "orquesta",
        "tasks": [
            {"name": "outer", "action": "clienttest.ask_wf", "parameters": {"host": "web1"}},
        ],
    },
}
