"""A comparison as it would be reported had other things been declared."""

from dataclasses import replace

from advisor.results.comparison import ArmRole, ArmSummary, Comparison
from service.contract.schemas import WhatIfReply, WhatIfRequest


def reconsidered(comparison: Comparison, request: WhatIfRequest, reply: WhatIfReply) -> Comparison:
    """The comparison with everything that follows from what was declared put again; measurements stay."""
    return replace(
        comparison,
        recommendation=reply.recommendation,
        arms=tuple(_arm(arm, reply) for arm in comparison.arms),
        # Of other weights the differences on record say nothing.
        differences=comparison.differences if _keeps_weights(comparison, request) else (),
        break_evens=tuple(reply.break_evens),
        net_values=tuple(reply.net_values),
        constraints=tuple(reply.constraints),
        flips=tuple(reply.flips),
        flip_map=reply.flip_map,
    )


def _arm(arm: ArmSummary, reply: WhatIfReply) -> ArmSummary:
    if arm.role is not ArmRole.CANDIDATE or arm.id not in reply.costs:
        return arm
    summary = reply.quality.get(arm.id)
    metrics = tuple(
        summary if summary is not None and (m.metric, m.slice) == (summary.metric, None) else m for m in arm.metrics
    )
    return replace(arm, metrics=metrics, cost=reply.costs[arm.id])


def _keeps_weights(comparison: Comparison, request: WhatIfRequest) -> bool:
    return request.coverage is None or request.coverage == comparison.recommendation.coverage
