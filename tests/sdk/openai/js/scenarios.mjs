// OpenAI's JavaScript SDK through the gateway: node scenarios.mjs BASE_URL KEY SIMULATOR_URL
//
// Prints a JSON line for each scenario: its name and what a program sees. Nothing is changed but base URL and key.

import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [baseURL, apiKey, simulator] = process.argv.slice(2);
const FLASH = "gemini-3.8-flash";
const EMBEDDER = "gemini-embedding-001";
const ai = new OpenAI({ baseURL, apiKey });
const rivers = [{ role: "user", content: "Tell me about rivers." }];
const Town = z.object({ name: z.string(), people: z.number().int(), rivers: z.array(z.string()) });

function declared(name, property) {
  const parameters = { type: "object", properties: { [property]: { type: "string" } }, required: [property] };
  return { name, description: `To ${name}.`, parameters };
}

const tools = [declared("get_weather", "city"), declared("get_time", "zone")].map((one) => ({
  type: "function",
  function: one,
}));

async function all(iterable) {
  const found = [];
  for await (const item of iterable) found.push(item);
  return found;
}

// For a while every answer of the simulator is as the faults say.
async function struck(simulate, work) {
  const rules = (list) =>
    fetch(`${simulator}/simulator/faults`, { method: "PUT", body: JSON.stringify(list) }).then((answer) => answer.text());
  await rules([{ simulate }]);
  try {
    return await work();
  } finally {
    await rules([]);
  }
}

// What a program catches, and how often the SDK asked for it.
async function refusal(work, options = { maxRetries: 0 }) {
  let requests = 0;
  const counted = (...asked) => {
    requests += 1;
    return fetch(...asked);
  };
  try {
    await work(new OpenAI({ baseURL, apiKey, ...options, fetch: counted }));
  } catch (error) {
    const kind = error.constructor.name;
    return { kind, status: error.status ?? null, type: error.type ?? null, code: error.code ?? null, requests };
  }
  throw new Error("nothing was refused");
}

// A message as plain clients keep it: only the fields that OpenAI's API has.
function plainly(message) {
  const calls = message.tool_calls?.map(({ id, type, function: { name, arguments: args } }) => ({
    id,
    type,
    function: { name, arguments: args },
  }));
  return { role: "assistant", content: message.content, ...(calls ? { tool_calls: calls } : {}) };
}

function results(message) {
  return message.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: '{"weather": "fine"}' }));
}

const scenarios = {
  async chat() {
    return await ai.chat.completions.create({ model: FLASH, messages: rivers });
  },

  async stream() {
    const body = { model: FLASH, messages: rivers, stream: true, stream_options: { include_usage: true } };
    return await all(await ai.chat.completions.create(body));
  },

  async streamHelper() {
    const stream = ai.chat.completions.stream({ model: FLASH, messages: rivers });
    let text = "";
    stream.on("content", (delta) => (text += delta));
    const final = await stream.finalChatCompletion();
    return { text, final };
  },

  async toolsOverThreeTurns() {
    const messages = [{ role: "user", content: "How is the weather in Paris?" }];
    const finishes = [];
    await struck("tool-turns=3,thoughts=9", async () => {
      for (;;) {
        const [choice] = (await ai.chat.completions.create({ model: FLASH, messages, tools })).choices;
        finishes.push(choice.finish_reason);
        if (choice.finish_reason !== "tool_calls") break;
        messages.push(plainly(choice.message), ...results(choice.message));
      }
    });
    return finishes;
  },

  async parallelToolsInAStream() {
    const messages = [{ role: "user", content: "The weather and the time in Paris, please." }];
    return await struck("thoughts=9", async () => {
      const stream = ai.chat.completions.stream({ model: FLASH, messages, tools });
      const first = (await stream.finalChatCompletion()).choices[0];
      messages.push(plainly(first.message), ...results(first.message));
      const second = (await ai.chat.completions.create({ model: FLASH, messages, tools })).choices[0];
      return { first, second };
    });
  },

  async toolsRunByThemselves() {
    const asked = [];
    const run = { ...declared("get_weather", "city"), function: (args) => asked.push(args) && "fine", parse: JSON.parse };
    const runner = ai.chat.completions.runTools({
      model: FLASH,
      messages: [{ role: "user", content: "How is the weather in Paris?" }],
      tools: [{ type: "function", function: run }],
    });
    return { asked, said: await runner.finalContent().then(() => asked.length) };
  },

  async parse() {
    const response_format = zodResponseFormat(Town, "town");
    const body = { model: FLASH, messages: [{ role: "user", content: "Name a town." }], response_format };
    return (await ai.chat.completions.parse(body)).choices[0].message.parsed;
  },

  async embeddings() {
    const packed = await ai.embeddings.create({ model: EMBEDDER, input: ["a", "b"], dimensions: 8 });
    const plain = await ai.embeddings.create({ model: EMBEDDER, input: ["a", "b"], dimensions: 8, encoding_format: "float" });
    return { packed: packed.data, plain: plain.data, usage: packed.usage };
  },

  async models() {
    const ids = (await all(ai.models.list())).map(({ id }) => id);
    return { ids, one: await ai.models.retrieve(FLASH) };
  },

  async responses() {
    const first = await ai.responses.create({ model: FLASH, input: "Tell me about rivers." });
    const second = await ai.responses.create({ model: FLASH, input: "And lakes?", previous_response_id: first.id });
    const events = await all(await ai.responses.create({ model: FLASH, input: "Tell me about rivers.", stream: true }));
    const parsed = await ai.responses.parse({
      model: FLASH,
      input: "Name a town.",
      text: { format: zodTextFormat(Town, "town") },
    });
    return { first, second, kinds: events.map(({ type }) => type), parsed: parsed.output_parsed };
  },

  async refusals() {
    const found = {};
    const faults = [
      "context-overflow", "api-key-auth-key-rejected", "leaked-key", "model-not-found", "status=409", "status=422",
      "exhausted-bare", "internal", "overloaded",
    ];
    for (const fault of faults) {
      const ask = (client) => client.chat.completions.create({ model: FLASH, messages: rivers });
      found[fault] = await struck(fault, () => refusal(ask));
    }
    return found;
  },

  async refusedOnce() {
    const ask = (client) => client.chat.completions.create({ model: FLASH, messages: rivers });
    return await struck("context-overflow", () => refusal(ask, {}));
  },

  async brokenStream() {
    const body = { model: FLASH, messages: rivers, stream: true };
    const ask = async (client) => {
      const chunks = await all(await client.chat.completions.create(body));
      throw new Error(`a clean end after ${chunks.length}`);
    };
    return await struck("cut-after=2,tokens=200", () => refusal(ask));
  },

  async timeout() {
    const ask = (client) => client.chat.completions.create({ model: FLASH, messages: rivers, stream: true });
    return await struck("stall-after=0", () => refusal(ask, { maxRetries: 0, timeout: 400 }));
  },

  async connection() {
    const nobody = new OpenAI({ baseURL: "http://127.0.0.1:1/v1", apiKey, maxRetries: 0 });
    return await refusal(() => nobody.models.list());
  },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  let result;
  try {
    result = await scenario();
  } catch (error) {
    result = { failed: `${error.constructor.name}: ${error.message}`, stack: error.stack };
  }
  console.log(JSON.stringify({ name, result: result ?? null }));
}
