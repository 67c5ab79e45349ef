"""Endpoints that trickle, stream without end, send a compression bomb or echo their key."""

import json
from multiprocessing.synchronize import Event

from benchmarks.strangers.endpoint import HOSTILE
from benchmarks.strangers.target import Heard, Target, ask, at_once


def compared(target: Target, heard: Heard, over: Event) -> None:
    """Comparisons of all four, which run at once, resumed and asked for whatever they say."""
    made: dict[str, str] = {}
    states: dict[str, str] = {}
    for name in HOSTILE:
        request = {"dataset": target.ids["dataset"], "model": f"openai:{name}@{target.endpoint}", "arms": ["base"]}
        status, content = ask(target, heard, "POST", "/v1/comparisons", key="runner", body=json.dumps(request))
        if status == 202:
            made[name] = json.loads(content)["id"]
        else:
            heard.blame(f"a comparison of {name} was refused with {status}: {content[:200]!r}")

    def look(number: int) -> None:
        one = made.get(HOSTILE[number])
        if one is not None:
            _, content = ask(target, heard, "GET", f"/v1/comparisons/{one}", key="reader")
            if state := json.loads(content or b"{}").get("state"):
                states[HOSTILE[number]] = state
            if state == "failed":
                ask(target, heard, "POST", f"/v1/comparisons/{one}/resume", key="runner", body="")
        over.wait(0.5)

    at_once(len(HOSTILE), over, look)
    heard.notes.append(", ".join(f"{name} {states.get(name)}" for name in made))


def served(target: Target, heard: Heard, over: Event) -> None:
    """Arms at such endpoints, asked and streamed by sixteen at once."""

    def question(number: int) -> None:
        model = f"{target.ids[HOSTILE[number % 4]]}/base"
        body = {"model": model, "messages": [{"role": "user", "content": "Which colour?"}], "stream": number % 8 > 3}
        ask(target, heard, "POST", "/v1/chat/completions", key="runner", body=json.dumps(body), timeout_s=60)

    at_once(16, over, question)
