// Drives the vendor's client, as told on standard input; prints one line of JSON for each call.
//   {"ask": "surface"}                   every method of the client, with the method and path that it sends
//   {"ask": "calls", "calls": [{"method": "storage.dataset.all", "args": []}, ...]}
// The sandbox is named by CARGO_API_URL, its token by CARGO_API_TOKEN.
import { readFileSync } from "node:fs";
import { buildApi } from "@cargo-ai/api";

// The client makes undefined of every null, and JSON has none: it goes back to null.
function print(line) {
  process.stdout.write(`${JSON.stringify(line, (_, value) => (value === undefined ? null : value))}\n`);
}

function methodsOf(object, path = []) {
  return Object.entries(object).flatMap(([name, value]) =>
    typeof value === "function" ? [[[...path, name].join("."), value]] : methodsOf(value, [...path, name]),
  );
}

// An argument that answers to any name: as text it is {uuid}, and each of its properties is that property's name.
function placeholder() {
  return new Proxy(
    { toString: () => "{uuid}" },
    { get: (target, name) => target[name] ?? (typeof name === "string" ? `{${name}}` : undefined) },
  );
}

function pathOf(url) {
  return decodeURIComponent(new URL(url).pathname);
}

async function surface() {
  let sent;
  const transport = {
    fetch: async (url, { method }) => {
      sent = { verb: method, path: pathOf(url) };
      return new Response("{}");
    },
  };
  const api = buildApi({ baseUrl: "http://nowhere.test", accessToken: "none", transport });
  for (const [method, call] of methodsOf(api)) {
    sent = undefined;
    // What it makes of the empty answer does not matter here.
    await call(placeholder(), placeholder()).catch(() => undefined);
    print({ method, ...sent });
  }
}

async function plain(answer) {
  return answer instanceof Blob ? Buffer.from(await answer.arrayBuffer()).toString("base64") : answer;
}

async function makeCalls(calls) {
  let sent;
  const transport = {
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      sent = { verb: init.method, path: pathOf(url), status: response.status };
      return response;
    },
  };
  const { CARGO_API_URL: baseUrl, CARGO_API_TOKEN: accessToken } = process.env;
  const methods = new Map(methodsOf(buildApi({ baseUrl, accessToken, transport })));
  for (const { method, args } of calls) {
    sent = undefined;
    try {
      const answer = await plain(await methods.get(method)(...args));
      print({ method, ...sent, answer });
    } catch (error) {
      print({ method, ...sent, error: { type: error.type ?? error.name, reason: error.reason, message: error.message } });
    }
  }
}

const told = JSON.parse(readFileSync(0, "utf8"));
await (told.ask === "surface" ? surface() : makeCalls(told.calls));
