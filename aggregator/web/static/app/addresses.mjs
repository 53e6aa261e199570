// Which addresses belong to the account: linked by signing in the browser's wallet (EIP-1193), or by a pasted signature.

import { get, list, post } from "./api.mjs";
import { card, copyButton, fill, h, moment, notice, table } from "./dom.mjs";

export const addresses = async (place, found) => {
  const base = `/v1/accounts/${found.account}/links`;
  const listed = h("div");
  const told = h("div", { "aria-live": "polite" });
  const show = async () => {
    const links = await list(base);
    fill(listed, links.length === 0 ? h("p", { class: "empty" }, "No address is linked yet; nothing can be read before.")
      : table("Linked addresses", [["Address"], ["Since"], ["Until"]], links.map((l) => [h("span", { class: "mono" }, l.address), moment(l.issuedAt), moment(l.expiry)])));
  };
  const link = async ({ address, issuedAt, expiry }, signature) => {
    await post(base, { address, issuedAt, expiry, signature });
    fill(told, notice("good", `${address} belongs to the account now, until ${moment(expiry)}.`));
    await show();
  };
  const guarded = (work) => async (event) => {
    event.preventDefault();
    try {
      await work();
    } catch (error) {
      fill(told, notice("bad", error.message ?? String(error)));
    }
  };

  const wallet = guarded(async () => {
    const [address] = await window.ethereum.request({ method: "eth_requestAccounts" });
    const message = await get(`${base}/message?address=${address.toLowerCase()}`);
    const signature = await window.ethereum.request({ method: "eth_signTypedData_v4", params: [address, JSON.stringify(message.typedData)] });
    await link(message, signature);
  });

  const leave = guarded(async () => {
    const [address] = await window.ethereum.request({ method: "eth_requestAccounts" });
    const message = await get(`/v1/unlinks/message?address=${address.toLowerCase()}`);
    const signature = await window.ethereum.request({ method: "eth_signTypedData_v4", params: [address, JSON.stringify(message.typedData)] });
    await post("/v1/unlinks", { address: message.address, issuedAt: message.issuedAt, signature });
    fill(told, notice("good", `No link that ${message.address} signed until now holds any more.`));
    await show();
  });

  const address = h("input", { placeholder: "0x…", required: true, pattern: "0x[0-9a-fA-F]{40}", title: "an address: 0x and 40 hex digits" });
  const signature = h("input", { placeholder: "0x… signature of the message" });
  const message = h("div");
  let asked = null;
  const form = h("form", { class: "form", onsubmit: guarded(async () => {
    if (asked === null || asked.address !== address.value.toLowerCase()) {
      asked = await get(`${base}/message?address=${address.value.toLowerCase()}`);
      const text = JSON.stringify(asked.typedData, null, 2);
      fill(message, h("p", { class: "hint" }, "Sign this with the address (EIP-712), then paste the signature. ", copyButton(text)), h("textarea", { rows: 8, readonly: true, "aria-label": "Message to sign" }, text));
      return;
    }
    await link(asked, signature.value.trim());
    asked = null;
    fill(message);
  }) },
  h("div", { class: "row" }, h("label", {}, "Address", address), h("label", {}, "Signature", signature), h("button", { type: "submit" }, "Next")), message);

  fill(place, h("div", { class: "grid" },
    card("Linked addresses", {}, listed),
    card("Link another", {},
      window.ethereum ? h("p", {}, h("button", { type: "button", class: "primary", onclick: wallet }, "Sign with this browser's wallet"), " ", h("button", { type: "button", onclick: leave }, "Withdraw the wallet's links")) : h("p", { class: "hint" }, "No wallet is in this browser (EIP-1193); paste a signature instead."),
      form, told, h("p", { class: "hint" }, "An address belongs to one account, for 90 days by each signature. It moves nothing and allows nothing else. Withdrawing ends every link the address has signed, to whichever account."))));
  await show();
};
