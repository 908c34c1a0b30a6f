// A desk in four steps: lock collateral on a collateral chain, see it credited on the hub, open a
// position there, close it. Prints JSON.
// MNEMONIC="..." node examples/position.mjs HUB_RPC SPOKE_RPC DENOM AMOUNT MARKET SIZE_QUANTUMS
import { DirectSecp256k1HdWallet, Registry } from "@cosmjs/proto-signing";
import {
  GasPrice,
  QueryClient,
  SigningStargateClient,
  assertIsDeliverTxSuccess,
  createProtobufRpcClient,
  defaultRegistryTypes,
} from "@cosmjs/stargate";
import { connectComet } from "@cosmjs/tendermint-rpc";
import { accounts_query, marginRegistryTypes, markets_markets } from "margin-chain";

const [hubRpc, spokeRpc, denom, amount, market, size] = process.argv.slice(2);
const CREDIT_TIMEOUT_MS = 60_000;

const wallet = await DirectSecp256k1HdWallet.fromMnemonic(process.env.MNEMONIC, {
  prefix: "margin",
});
const [{ address: owner }] = await wallet.getAccounts();
const registry = new Registry([...defaultRegistryTypes, ...marginRegistryTypes]);
const options = {
  registry,
  gasPrice: GasPrice.fromString("0.001umargin"),
  broadcastPollIntervalMs: 300,
};
const hub = await SigningStargateClient.connectWithSigner(hubRpc, wallet, options);
const spoke = await SigningStargateClient.connectWithSigner(spokeRpc, wallet, options);
const comet = await connectComet(hubRpc);
const rpc = createProtobufRpcClient(QueryClient.withExtensions(comet));

async function deliver(client, type, value) {
  const result = await client.signAndBroadcast(owner, [{ typeUrl: `/margin.${type}`, value }], "auto");
  assertIsDeliverTxSuccess(result);
  return result;
}

async function query(method, Request, Response, value) {
  const service = `margin.${method.slice(0, method.lastIndexOf("."))}.Query`;
  const name = method.slice(method.lastIndexOf(".") + 1);
  return Response.decode(await rpc.request(service, name, Request.encode(value).finish()));
}

async function getMargin() {
  const { QueryMarginRequest, QueryMarginResponse } = accounts_query;
  const answer = await query("accounts.v1.Margin", QueryMarginRequest, QueryMarginResponse, {
    owner,
    number: 0,
  });
  return answer.margin;
}

async function placeMarketOrder(side, isReducing) {
  return deliver(hub, "markets.v1.MsgPlaceOrder", {
    owner,
    number: 0,
    market,
    side,
    sizeQuantums: size,
    priceWad: "",
    timeInForce: markets_markets.TimeInForce.TIME_IN_FORCE_IMMEDIATE_OR_CANCEL,
    reduceOnly: isReducing,
  });
}

const { QueryAccountsRequest, QueryAccountsResponse } = accounts_query;
const known = await query("accounts.v1.Accounts", QueryAccountsRequest, QueryAccountsResponse, {
  owner,
});
if (!known.accounts.some((account) => account.number === 0)) {
  await deliver(hub, "accounts.v1.MsgCreateAccount", { owner, number: 0 });
}
const before = BigInt((await getMargin()).collateralUusd);

const locked = { depositor: owner, owner, account: 0, denom, amount };
await deliver(spoke, "vault.v1.MsgLockCollateral", locked);
const deadline = Date.now() + CREDIT_TIMEOUT_MS;
let credited = await getMargin();
while (BigInt(credited.collateralUusd) <= before) {
  if (Date.now() > deadline) throw new Error("the hub has not credited the lock: is a relayer running?");
  await new Promise((resolve) => setTimeout(resolve, 300));
  credited = await getMargin();
}

const { Side } = markets_markets;
await placeMarketOrder(Side.SIDE_BUY, false);
const opened = await getMargin();
await placeMarketOrder(Side.SIDE_SELL, true);
const closed = await getMargin();
console.log(
  JSON.stringify(
    {
      owner,
      collateralUusd: credited.collateralUusd,
      opened: opened.positions.map((row) => row.position),
      maintenanceUusd: opened.maintenanceUusd,
      closed: closed.positions.map((row) => row.position),
      cashUusd: closed.cashUusd,
    },
    (_, value) => (typeof value === "bigint" ? Number(value) : value),
  ),
);
hub.disconnect();
spoke.disconnect();
comet.disconnect();
