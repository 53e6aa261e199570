// The service: one function per kind of call. A refusal is a Problem (RFC 9457) with the service's own sentence.

const KEY = "counterfoil-api-key";

export class Problem extends Error {
  constructor(body, status) {
    super(body?.detail ?? `the service answered ${status}`);
    this.title = body?.title ?? "Error";
    this.status = status;
    this.type = body?.type;
  }
}

// The key lives as long as the tab: a shared machine forgets it.
export const apiKey = () => sessionStorage.getItem(KEY);
export const setApiKey = (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY));

const headers = () => (apiKey() ? { Authorization: `Bearer ${apiKey()}` } : {});

const answer = async (response) => {
  const type = response.headers.get("Content-Type") ?? "";
  const body = type.includes("json") ? await response.json() : null;
  if (!response.ok) throw new Problem(body, response.status);
  return body;
};

const ask = async (path, options = {}) => {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers }, cache: "no-store" });
  } catch {
    throw new Problem({ title: "Unreachable", detail: "the service does not answer; see that it runs" }, 0);
  }
  return answer(response);
};

export const get = (path) => ask(path);

/** A POST. What changes something carries a key, so that pressing twice or a retry does it once. */
export const post = (path, body, { signal, once = true } = {}) =>
  ask(path, {
    method: "POST",
    body: JSON.stringify(body),
    signal,
    headers: { "Content-Type": "application/json", ...(once ? { "Idempotency-Key": crypto.randomUUID() } : {}) },
  });

/** Every item of a list, page by page, up to `most`. */
export const list = async (path, most = 500) => {
  const items = [];
  let cursor = "";
  do {
    const mark = path.includes("?") ? "&" : "?";
    const page = await get(`${path}${mark}limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < most);
  return items;
};

/** Follows a job to its end; `tell` is given each stage. Resolves to its result. */
export const follow = async (job, tell) => {
  let now = job;
  while (now.state !== "done" && now.state !== "failed") {
    tell(now);
    await new Promise((resolve) => { setTimeout(resolve, 250); });
    now = await get(`/v1/jobs/${now.id}`);
  }
  tell(now);
  if (now.state === "failed") throw new Problem(now.problem, now.problem?.status ?? 500);
  return now.result;
};

/**
 * Events as they happen, from the last one seen on, also over a restart of the service.
 * EventSource can carry no key, so this reads the stream itself.
 */
export const events = (heard, state) => {
  let [last, ended, reader] = [null, false, null];
  const read = async () => {
    const response = await fetch("/v1/events", {
      headers: { ...headers(), Accept: "text/event-stream", ...(last === null ? {} : { "Last-Event-ID": String(last) }) },
      cache: "no-store",
    });
    if (!response.ok) throw new Problem(null, response.status);
    state(true);
    reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let buffer = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value;
      const blocks = buffer.split("\n\n");
      buffer = blocks.pop();
      for (const block of blocks) {
        const data = block.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        if (!data) continue;
        const event = JSON.parse(data);
        last = event.id;
        heard(event);
      }
    }
  };
  const loop = async () => {
    while (!ended) {
      try {
        await read();
      } catch (error) {
        if (!(error instanceof Problem || error instanceof TypeError)) throw error;
      }
      state(false);
      if (!ended) await new Promise((resolve) => { setTimeout(resolve, 2000); });
    }
  };
  loop();
  return () => {
    ended = true;
    reader?.cancel();
  };
};
