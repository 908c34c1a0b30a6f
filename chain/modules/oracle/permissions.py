"""What a price allows: a stale, disputed or still moving price may reduce risk, never add it (row
45).

| action | price | age at most | with its proof | confidence | step bound |
|---|---|---|---|---|---|
| open risk, withdraw | needed | risk_age_s_max | effective_age_s_max | the minimum | not bind |
| liquidate | needed | liquidation_age_s_max | any | any | may bind (the raw median is used) |
| reduce | needed | any | any | any | may bind |

An old proof holds up no liquidation: what a vault holds cannot leave it without the hub, and what
the delay may cost is in the haircut.
"""

from chain.modules.oracle.errors import PriceNotUsable, UnknownAsset
from chain.modules.oracle.state import get_price, get_rules
from chain.modules.oracle.types import Action, OracleRules, Price
from chain.runtime.context import Context
from chain.units import NANOSECONDS, floor_div


def find_refusal(
    rules: OracleRules,
    asset: str,
    price: Price | None,
    action: Action,
    now_ns: int,
    *,
    proof_age_ns: int = 0,
) -> str:
    """Why the price does not allow the action; empty when it does.

    `proof_age_ns` is the age of the proof of what is being priced, 0 for what lies on this chain:
    new risk needs the price's age, and that age plus the proof's, within their limits.
    """
    if price is None:
        return f"{asset} has no price yet; wait until the validators agree on one"
    if action is Action.REDUCE:
        return ""
    age_ns = now_ns - price.time_ns
    age_s = floor_div(age_ns, NANOSECONDS)
    limit_s = rules.liquidation_age_s_max if action is Action.LIQUIDATE else rules.risk_age_s_max
    if age_ns > limit_s * NANOSECONDS:
        return (
            f"the price of {asset} is {age_s} s old and {action.value} needs at most {limit_s} s; "
            f"wait for a new price or reduce risk"
        )
    if action is Action.LIQUIDATE:
        return ""
    if proof_age_ns and age_ns + proof_age_ns > rules.effective_age_s_max * NANOSECONDS:
        return (
            f"the price of {asset} is {age_s} s old and what it prices was last proven "
            f"{floor_div(proof_age_ns, NANOSECONDS)} s ago, together above "
            f"{rules.effective_age_s_max} s; wait until a relayer updates the client"
        )
    return _find_quality_refusal(rules, price, action)


def _find_quality_refusal(rules: OracleRules, price: Price, action: Action) -> str:
    asset = price.asset
    asset_rules = rules.get_asset(asset)
    if asset_rules is None:
        return f"{asset} is no longer priced; only reducing risk is allowed"
    if price.confidence_ppm < asset_rules.confidence_ppm_min:
        return (
            f"sources of {asset} agree to {price.confidence_ppm} ppm and {action.value} needs "
            f"{asset_rules.confidence_ppm_min}; wait until they agree"
        )
    if price.step_bound_active:
        return (
            f"the price of {asset} is still moving by bounded steps from {price.price_wad} to "
            f"{price.raw_median_wad}; wait for it to arrive or reduce risk"
        )
    return ""


def require_price(ctx: Context, asset: str, action: Action, *, proof_age_ns: int = 0) -> Price:
    """The price when it allows the action; raises UnknownAsset or PriceNotUsable, saying why.

    `proof_age_ns` is the age of the remote proof of what is priced (`find_refusal`).
    """
    rules = get_rules(ctx)
    price = get_price(ctx, asset)
    if price is None and rules.get_asset(asset) is None:
        raise UnknownAsset(f"the oracle does not price {asset!r}; query margin.oracle.v1 Prices")
    refusal = find_refusal(rules, asset, price, action, ctx.time_ns, proof_age_ns=proof_age_ns)
    if refusal or price is None:
        raise PriceNotUsable(refusal, asset=asset, action=action.value)
    return price
