"""How the story prints a margin: every total, the worst scenario, the Greeks that are not zero."""

from rich.console import Console

from chain._pb.margin.accounts.v1 import accounts_pb2
from chain._pb.margin.accounts.v1 import query_pb2 as accounts_query
from chain._pb.margin.desk.v1 import query_pb2 as desk_query
from chain._pb.margin.scenarios.v1 import scenarios_pb2
from localnet.demo.options import describe_margin, make_margin_table

WAD = 10**18
MARGIN = accounts_query.MarginExplanation(
    equity_uusd="20548550000",
    maintenance_uusd="2738650000",
    initial_uusd="3560250000",
    gmr_ppm="7503168",
    margin_mode=accounts_pb2.MARGIN_MODE_PORTFOLIO,
    positions=[
        accounts_query.PositionMargin(
            position=accounts_pb2.Position(market="ETH-PUT", size_quantums="-40000000"),
            price_wad=str(674 * WAD // 100),
            quantum_decimals=6,
        )
    ],
    underlyings=[
        accounts_query.UnderlyingMargin(
            asset="ETH",
            preset="pmrm21",
            scenarios=[
                accounts_query.ScenarioResult(spot_wad=str(WAD), profit_wad="0"),
                accounts_query.ScenarioResult(
                    spot_wad=str(WAD * 85 // 100),
                    volatility=scenarios_pb2.VOLATILITY_SHOCK_UP,
                    profit_wad=str(-2_197 * WAD),
                ),
            ],
            worst=1,
        )
    ],
)
GREEKS = [
    desk_query.UnderlyingGreeks(asset="ETH", delta_wad=str(61 * WAD), vega_wad=str(-1_235 * WAD)),
    desk_query.UnderlyingGreeks(asset="USDC"),
]


def test_the_table_holds_totals_positions_worst_scenario_and_greeks():
    console = Console(width=120)
    with console.capture() as capture:
        console.print(make_margin_table("alice's margin", MARGIN, GREEKS))
    text = capture.get()
    for cell in (
        *("20,548.55 USD", "2,738.65 USD", "3,560.25 USD", "7.503"),
        *("-40 at 6.74", "spot x 0.85, volatility up: -2,197.00 USD"),
        *("delta (ETH)", "61.0000", "-1,235.0000"),
    ):
        assert cell in text
    assert "USDC" not in text
    assert "gamma" not in text


def test_the_report_holds_the_explanation_whole():
    described = describe_margin(MARGIN, GREEKS)
    assert described["gmr_ppm"] == "7503168"
    assert described["worst_scenarios"] == [
        {
            "asset": "ETH",
            "spot_wad": str(WAD * 85 // 100),
            "volatility": "up",
            "profit_wad": str(-2_197 * WAD),
        }
    ]
    assert described["explanation"]["positions"][0]["position"]["market"] == "ETH-PUT"
    assert [row["asset"] for row in described["greeks"]] == ["ETH", "USDC"]
