"""Training files for hosted tuning: OpenAI's and Azure AI Foundry's form of chat rows."""

from pathlib import Path
from typing import TYPE_CHECKING

from advisor.data.dataset import Split
from service.handover.training_rows import TRAIN_FILE, VALIDATION_FILE, write_chats

if TYPE_CHECKING:
    from service.handover.winner import Winner

_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


def write_openai(winner: "Winner", folder: Path) -> str:
    """Files for OpenAI's fine-tuning API."""
    has_validation = bool(write_chats(winner, folder)[Split.VALIDATION])
    return f"""## Tune

```bash
pip install openai
export OPENAI_API_KEY=...
```

```python
from openai import OpenAI

client = OpenAI()
{_create("gpt-4.1-mini-2025-04-14", has_validation)}
```

OpenAI closes self-serve tuning: since 7 May 2026 organisations that never tuned can create no jobs, since 2 July 2026
neither can those that asked no tuned model within 60 days, and from 6 January 2027 nobody can
(developers.openai.com/api/docs/deprecations, read on 30 November 2026).

{_limits(winner)}
"""


def write_foundry(winner: "Winner", folder: Path) -> str:
    """Files for Azure OpenAI and Azure AI Foundry, which want UTF-8 with a byte-order mark."""
    has_validation = bool(write_chats(winner, folder)[Split.VALIDATION])
    for name in (TRAIN_FILE, VALIDATION_FILE)[: 1 + has_validation]:
        path = folder / name
        path.write_text(_BYTE_ORDER_MARK + path.read_text(encoding="utf-8"), encoding="utf-8")
    return f"""## Tune

```python
import os

from openai import OpenAI

address, key = os.environ["AZURE_OPENAI_ENDPOINT"], os.environ["AZURE_OPENAI_API_KEY"]
client = OpenAI(base_url=address + "/openai/v1/", api_key=key)
{_create("gpt-4.1-mini-2025-04-14", has_validation)}
```

A tuned model answers only once it is deployed, and a deployment costs by the hour whether it is asked or not:

```bash
az cognitiveservices account deployment create -g GROUP -n RESOURCE --deployment-name {winner.name} \\
  --model-name FINE_TUNED_MODEL --model-version 1 --model-format OpenAI --sku-name Standard --sku-capacity 1
```

{_limits(winner)}
"""


def _create(model: str, has_validation: bool) -> str:
    upload = 'client.files.create(file=open("{}", "rb"), purpose="fine-tune").id'
    validation = f"    validation_file={upload.format(VALIDATION_FILE)},\n" if has_validation else ""
    return f"""job = client.fine_tuning.jobs.create(
    model={model!r},
    training_file={upload.format(TRAIN_FILE)},
{validation})
print(job.id)"""


def _limits(winner: "Winner") -> str:
    n_rows = len(winner.dataset.split(Split.TRAIN))
    return f"{n_rows} rows, each a question with the prompt it is asked with and its first reference as the answer."
