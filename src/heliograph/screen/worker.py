"""The process that a screening starts: questions in by stdin, answers out by stdout, until stdin ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from heliograph.chem import wire


def main() -> None:
    """Frames: settings, then requests (JSON, then a shard's bytes) again and again; answers are JSON. The first answer is "ready"."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    try:
        import torch

        torch.set_num_threads(1)
        answer = answering(json.loads(wire.receive(requests)))
        wire.send(answers, b"ready")
        while True:
            request = json.loads(wire.receive(requests))
            wire.send(answers, json.dumps(answer(request, wire.receive(requests))).encode())
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the parent is done, or gone


def answering(settings: dict[str, Any]) -> Any:
    """A function of a request and its bytes."""
    from heliograph.allocator import keep_freed_memory
    from heliograph.errors import HeliographError
    from heliograph.predictor.predictor import open as open_model
    from heliograph.screen.work import Question, Scorer

    keep_freed_memory()
    question = Question.from_dict(settings["question"])
    scorer = Scorer(open_model(settings["model"], settings["arch"]), question)

    def answer(request: dict[str, Any], content: bytes) -> dict[str, Any]:
        try:
            if request["what"] == "score":
                one = {k: request[k] for k in ("number", "suffix", "depth", "floor", "guarded")}
                return scorer.score(content=content, **one).to_dict()
            return filtered(question.filters, content)
        except HeliographError as error:
            return {"error": str(error), "exit_code": error.exit_code}

    return answer


def filtered(names: Sequence[str], content: bytes) -> dict[str, Any]:
    """Which filter turns each of these SMILES (a JSON list) away, and what each filter took."""
    from heliograph.chem.filters import Filters

    filters = Filters(names)
    found = [filters.rejects(smiles) for smiles in json.loads(content)]
    return {"rejects": found, "seconds": filters.seconds}


if __name__ == "__main__":
    main()
