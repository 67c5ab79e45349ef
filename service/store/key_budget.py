"""What a key may spend at endpoints, and what it has spent: one sum a key, over all comparisons and questions."""

from dataclasses import dataclass

from sqlalchemy import Engine, select, update

from lm.errors import ConfigError, ErrorKind
from service.store.database import writing
from service.store.tables import api_keys


class KeySpentError(ConfigError):
    """A key has spent what it may."""

    kind = ErrorKind.CONFLICT
    title = "Limit of the key reached"


@dataclass(frozen=True, slots=True)
class KeyBudget:
    """The sum of one key; read and added to in the database, by every process that spends for it."""

    engine: Engine
    key_id: str

    def left_usd(self) -> float | None:
        """What the key may still spend, below 0 where it spent more; None where it has no limit."""
        with self.engine.connect() as connection:
            query = select(api_keys.c.max_spend_usd, api_keys.c.spent_usd).where(api_keys.c.id == self.key_id)
            row = connection.execute(query).first()
        return None if row is None or row.max_spend_usd is None else row.max_spend_usd - row.spent_usd

    def check(self, usd: float = 0.0) -> None:
        """See that about so much may still be spent. Nothing is reserved: who asks at once with others may spend more.

        Raises:
            KeySpentError: it is more than what is left, or nothing is.
        """
        left = self.left_usd()
        if left is not None and (left <= 0 or usd > left):
            raise KeySpentError(
                f"the key may spend ${max(0.0, left):.2f} more at endpoints, which is not enough to go on; ask for a "
                "key with a higher limit (`tuningfork keys create --max-spend-usd`), or use a model on this machine"
            )

    def spend(self, usd: float) -> None:
        """Add what was spent."""
        if usd:
            spent = api_keys.c.spent_usd + usd
            with writing(self.engine) as connection:
                connection.execute(update(api_keys).where(api_keys.c.id == self.key_id).values(spent_usd=spent))
