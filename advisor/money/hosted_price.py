"""What the tokens that a comparison measured would cost at models that are paid by the token.

A price alone: how well such a model answers is not known until it is compared. Tokens are those of the measured model;
another tokenizer cuts the same text into somewhat fewer or more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from advisor.money.catalogue import CatalogueModel
from advisor.money.cost import estimate_answer_cost
from advisor.money.prices import PriceList
from advisor.results.comparison import ArmRole, Comparison


@dataclass(frozen=True, slots=True)
class HostedPrice:
    """One measured arm at one priced model.

    Attributes:
        model: Name in the catalogue; priced_as: the name the endpoint knows.
        usd_per_1000_queries: Tokens read and written; for arms that retrieve also those of a hosted embedder.
        as_of: Day of the price; source: where it was read.
    """

    comparison_id: str
    arm: str
    model: str
    priced_as: str
    usd_per_1000_queries: float
    as_of: str
    source: str


def hosted_prices(
    comparison: Comparison, catalogue: Sequence[CatalogueModel], prices: PriceList
) -> tuple[HostedPrice, ...]:
    """Every candidate at every model of the catalogue that has a price, in their orders.

    Arms from outside are left out, and tuned ones: a hosted model would have to be tuned first, at prices of its own.
    """
    embedder = str(comparison.settings.get("embedder", ""))
    found = []
    for arm in comparison.arms:
        was_tuned = arm.build_usage.input_tokens > 0
        if arm.role is not ArmRole.CANDIDATE or was_tuned or arm.unknown:
            continue
        # What another host would have cached is not known: the whole prompt is priced.
        usage = replace(arm.usage_per_question, cached_tokens=0)
        for model in catalogue:
            usd = estimate_answer_cost(usage, prices, model=model.priced_as, embedder=embedder, device=None)
            if model.price is None or usd is None:
                continue
            found.append(
                HostedPrice(
                    comparison_id=comparison.id,
                    arm=arm.id,
                    model=model.name,
                    priced_as=model.priced_as,
                    usd_per_1000_queries=1000 * usd,
                    as_of=model.price.as_of,
                    source=model.price.source,
                )
            )
    return tuple(found)
