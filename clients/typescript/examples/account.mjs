// What a wallet does: connect, account, balance, simulate, send, wait, query. Prints JSON.
// MNEMONIC="..." node examples/account.mjs RPC_URL PREFIX DENOM RECEIVER
import { toBech32 } from "@cosmjs/encoding";
import { DirectSecp256k1HdWallet } from "@cosmjs/proto-signing";
import { GasPrice, SigningStargateClient } from "@cosmjs/stargate";

const [rpc, prefix, denom, receiver] = process.argv.slice(2);
const wallet = await DirectSecp256k1HdWallet.fromMnemonic(process.env.MNEMONIC, { prefix });
const [{ address }] = await wallet.getAccounts();
const client = await SigningStargateClient.connectWithSigner(rpc, wallet, {
  gasPrice: GasPrice.fromString(`0.001${denom}`),
  broadcastPollIntervalMs: 300,
});
const account = await client.getAccount(address);
const before = await client.getBalance(receiver, denom);
const coins = [{ denom, amount: "7" }];
const message = {
  typeUrl: "/cosmos.bank.v1beta1.MsgSend",
  value: { fromAddress: address, toAddress: receiver, amount: coins },
};
const simulated = await client.simulate(address, [message], "simulated");
const sent = await client.sendTokens(address, receiver, coins, "auto", "from CosmJS");
const found = await client.getTx(sent.transactionHash);
const bySender = await client.searchTx([{ key: "message.sender", value: address }]);
const refused = await client.sendTokens(
  address,
  receiver,
  [{ denom, amount: "999999999999999999" }],
  { amount: coins.map((coin) => ({ ...coin, amount: "1000" })), gas: "200000" },
);
console.log(
  JSON.stringify(
    {
      chainId: await client.getChainId(),
      height: await client.getHeight(),
      address,
      number: account.accountNumber,
      sequence: account.sequence,
      sequenceAfter: (await client.getAccount(address)).sequence,
      code: sent.code,
      txHeight: sent.height,
      foundHeight: found?.height,
      simulated,
      gasUsed: Number(sent.gasUsed),
      received: Number((await client.getBalance(receiver, denom)).amount) - Number(before.amount),
      bySender: bySender.some((tx) => tx.hash === sent.transactionHash),
      unknownAccount: await client.getAccount(toBech32(prefix, new Uint8Array(20).fill(7))),
      refusedCode: refused.code,
      refusedLog: refused.rawLog ?? "",
    },
    (_, value) => (typeof value === "bigint" ? Number(value) : value),
  ),
);
client.disconnect();
