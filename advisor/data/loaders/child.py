"""The process in which strangers' files are read: `python -m advisor.data.loaders.child SECONDS MEMORY_BYTES`.

One request a line on standard input, one reply a line on standard output, both JSON. What a file can do here is take
time and memory, and both end. Its parent is `advisor.data.conversion`.
"""

import contextlib
import dataclasses
import json
import os
import resource
import signal
import sys
from pathlib import Path

READY = "ready"
OUT_OF_MEMORY = "out of memory"
_MAX_TEXT_CHARACTERS = 32 * 2**20


def main() -> None:
    """Answer until the input ends, or until a file took the memory: then the rest goes to a fresh process."""
    seconds, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    # What a library prints must not be taken for a reply.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import advisor.data.loaders  # noqa: F401 - its time is not the first file's

    replies.write(f"{READY}\n")
    replies.flush()
    for line in sys.stdin:
        # Whoever started us may be gone: then nobody else would end this.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        reply = _reply(line)
        signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
        if reply.get("problem") == OUT_OF_MEMORY:
            return


def _limit(what: int, amount: int) -> None:
    hard = resource.getrlimit(what)[1]
    # Some systems know a limit and refuse to set it.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (amount if hard == resource.RLIM_INFINITY else min(amount, hard), hard))


def _reply(line: str) -> dict[str, object]:
    try:
        from advisor.data.loaders import UnreadableFileError, load_document

        request = json.loads(line)
        try:
            loaded = load_document(request["ending"], Path(request["path"]).read_bytes())
        except UnreadableFileError as error:
            return {"problem": str(error), "line": error.line}
        if len(loaded.text) > _MAX_TEXT_CHARACTERS:
            return {"problem": f"it holds over {_MAX_TEXT_CHARACTERS:,} characters; divide it", "line": None}
        return dataclasses.asdict(loaded)
    except MemoryError:
        return {"problem": OUT_OF_MEMORY, "line": None}


if __name__ == "__main__":
    main()
