// The same scenarios as the Python ones, with @google/genai: node scenarios.mjs BASE_URL KEY [NAME …]
//
// Prints a JSON line for each scenario: its name, its result (or the error that a program sees), and of every answer
// that came over the wire the request, the status, and the length and digest of the body's bytes.

import { createHash } from "node:crypto";
import { GoogleGenAI, Type } from "@google/genai";

const [baseUrl, apiKey, ...names] = process.argv.slice(2);
const FLASH = "gemini-3.8-flash";
const OLDER = "gemini-2.5-flash";
const EMBEDDER = "gemini-embedding-001";

// Every answer's bytes are hashed beside the SDK, which reads its own copy.
const wire = [];
const fetched = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const answer = await fetched(input, init);
  const url = new URL(typeof input === "string" ? input : (input.url ?? String(input)));
  const verb = init?.method ?? input.method ?? "GET";
  const body = answer
    .clone()
    .arrayBuffer()
    .then((bytes) => ({ length: bytes.byteLength, digest: createHash("sha256").update(Buffer.from(bytes)).digest("hex") }))
    .catch((error) => ({ broken: error.name }));
  wire.push({ verb, place: url.pathname, status: answer.status, type: answer.headers.get("content-type"), body });
  return answer;
};

function client(simulate, options = {}) {
  const headers = simulate ? { "x-simulate": simulate } : {};
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl, headers, ...options } });
}

async function all(iterable) {
  const found = [];
  for await (const item of iterable) found.push(item);
  return found;
}

async function refusal(asked) {
  try {
    await asked;
  } catch (error) {
    return told(error);
  }
  throw new Error("nothing was refused");
}

function told(error) {
  return { error: error.name, status: error.status ?? null, message: error.message };
}

const weather = {
  name: "get_weather",
  description: "The weather of a city.",
  parametersJsonSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const scenarios = {
  async generate() {
    const config = {
      systemInstruction: "Be brief.",
      temperature: 0.4,
      thinkingConfig: { includeThoughts: true },
      maxOutputTokens: 3000,
    };
    return await client().models.generateContent({ model: FLASH, contents: "Why is the sky blue?", config });
  },

  async generateUnderEachVersion() {
    const found = [];
    for (const apiVersion of ["v1beta", "v1", "v1alpha"]) {
      found.push(await client("", { apiVersion }).models.generateContent({ model: OLDER, contents: "Name a river." }));
    }
    return found;
  },

  async generateWithATimeout() {
    return await client("", { timeout: 20000 }).models.generateContent({ model: OLDER, contents: "Name a tree." });
  },

  async generateInGzip() {
    return await client("gzip").models.generateContent({ model: FLASH, contents: "Pack it." });
  },

  async stream() {
    return await all(await client().models.generateContentStream({ model: FLASH, contents: "A story of 300 words." }));
  },

  async chat() {
    const talk = client().chats.create({ model: FLASH });
    const first = await talk.sendMessage({ message: "Hello." });
    const second = await all(await talk.sendMessageStream({ message: "And then?" }));
    const third = await talk.sendMessage({ message: "Thank you." });
    return [first, second, third, talk.getHistory()];
  },

  async functions() {
    const models = client().models;
    const config = { tools: [{ functionDeclarations: [weather] }] };
    const asked = { role: "user", parts: [{ text: "How is the weather in Paris?" }] };
    const first = await models.generateContent({ model: FLASH, contents: [asked], config });
    const call = first.functionCalls[0];
    const turn = first.candidates[0].content;
    if (!turn.parts[0].thoughtSignature) throw new Error("the simulator gave no signature: nothing would be shown");
    const part = { functionResponse: { id: call.id, name: call.name, response: { weather: "fine" } } };
    const contents = [asked, turn, { role: "user", parts: [part] }];
    return [first, await models.generateContent({ model: FLASH, contents, config })];
  },

  async functionsByThemselves() {
    const tool = {
      tool: async () => ({ functionDeclarations: [weather] }),
      callTool: async (calls) =>
        calls.map((call) => ({ functionResponse: { id: call.id, name: call.name, response: { weather: "fine" } } })),
    };
    return await client().models.generateContent({
      model: FLASH,
      contents: "The weather in Rome?",
      config: { tools: [tool] },
    });
  },

  async json() {
    const schema = { type: Type.OBJECT, properties: { name: { type: Type.STRING }, minutes: { type: Type.INTEGER } } };
    const plain = { type: "object", properties: { steps: { type: "array", items: { type: "string" } } } };
    const models = client().models;
    const one = { responseMimeType: "application/json", responseSchema: schema };
    const two = { responseMimeType: "application/json", responseJsonSchema: plain };
    const found = await models.generateContent({ model: FLASH, contents: "A recipe.", config: one });
    JSON.parse(found.text);
    return [found, await models.generateContent({ model: FLASH, contents: "A cake.", config: two })];
  },

  async count() {
    return await client().models.countTokens({ model: FLASH, contents: "One sentence." });
  },

  async embed() {
    const models = client().models;
    const one = await models.embedContent({ model: EMBEDDER, contents: "a sentence" });
    const many = await models.embedContent({
      model: EMBEDDER,
      contents: ["first", "second"],
      config: { outputDimensionality: 64 },
    });
    return [one, many];
  },

  async listModels() {
    const ai = client();
    const found = await all(await ai.models.list({ config: { pageSize: 9 } }));
    return [found, await ai.models.get({ model: FLASH })];
  },

  async smallFile() {
    const ai = client();
    const file = new Blob(["A note about the sea. ".repeat(50)], { type: "text/plain" });
    const made = await ai.files.upload({ file, config: { displayName: "note" } });
    const again = await ai.files.get({ name: made.name });
    const contents = [{ fileData: { fileUri: made.uri, mimeType: made.mimeType } }, "What is it about?"];
    const used = await ai.models.generateContent({ model: FLASH, contents });
    const listed = await all(await ai.files.list({ config: { pageSize: 1 } }));
    await ai.files.delete({ name: made.name });
    return [made, again, used, listed, await refusal(ai.files.get({ name: made.name }))];
  },

  async largeFile() {
    const ai = client();
    const file = new Blob([Buffer.alloc(20 << 20, "0123456789abcdef")], { type: "application/octet-stream" });
    const made = await ai.files.upload({ file });
    await ai.files.delete({ name: made.name });
    return made;
  },

  async cache() {
    const ai = client();
    const config = { contents: "A long book. ".repeat(4000), ttl: "600s", displayName: "book" };
    const made = await ai.caches.create({ model: OLDER, config });
    const asked = { model: OLDER, contents: "Who is the hero?", config: { cachedContent: made.name } };
    const used = await ai.models.generateContent(asked);
    const again = await ai.caches.get({ name: made.name });
    const longer = await ai.caches.update({ name: made.name, config: { ttl: "1200s" } });
    const listed = await all(await ai.caches.list());
    await ai.caches.delete({ name: made.name });
    return [made, used, again, longer, listed, await refusal(ai.caches.get({ name: made.name }))];
  },

  async batch() {
    const ai = client();
    const src = ["one", "two"].map((text) => ({ contents: [{ role: "user", parts: [{ text }] }] }));
    const made = await ai.batches.create({ model: OLDER, src, config: { displayName: "pair" } });
    const done = await ai.batches.get({ name: made.name });
    const listed = await all(await ai.batches.list({ config: { pageSize: 1 } }));
    const late = await refusal(ai.batches.cancel({ name: made.name }));
    await ai.batches.delete({ name: made.name });
    return [made, done, listed, late];
  },

  async store() {
    const ai = client();
    const made = await ai.fileSearchStores.create({ config: { displayName: "papers" } });
    const file = new Blob(["What the paper says. ".repeat(20)], { type: "text/plain" });
    const uploaded = await ai.fileSearchStores.uploadToFileSearchStore({ fileSearchStoreName: made.name, file });
    const read = await ai.operations.get({ operation: uploaded });
    const listed = await all(await ai.fileSearchStores.list());
    await ai.fileSearchStores.delete({ name: made.name, config: { force: true } });
    return [made, uploaded, read, listed];
  },

  async token() {
    return await client("", { apiVersion: "v1alpha" }).authTokens.create({ config: { uses: 2 } });
  },

  async interaction() {
    const talk = client().interactions;
    const first = await talk.create({ model: FLASH, input: "Remember the word pear." });
    const second = await talk.create({ model: FLASH, input: "Which word?", previous_interaction_id: first.id });
    const again = await talk.get(second.id);
    await talk.delete(first.id);
    return [first, second, again];
  },

  async interactionStreamed() {
    return await all(await client().interactions.create({ model: FLASH, input: "Count to ten.", stream: true }));
  },

  async refused() {
    const found = {};
    const faults = ["context-overflow", "leaked-key", "model-not-found", "quota-rpm-free", "internal", "overloaded"];
    for (const fault of faults) {
      found[fault] = await refusal(client(fault).models.generateContent({ model: FLASH, contents: "Hello." }));
    }
    return found;
  },

  async refusedStream() {
    return await refusal(client("overloaded").models.generateContentStream({ model: FLASH, contents: "Hello." }));
  },

  // Not the same on both sides, and must not be: the SDK takes a stream without an end for a whole one.
  async unended() {
    const texts = [];
    try {
      const asked = { model: FLASH, contents: "A tale." };
      for await (const chunk of await client("end-after=2").models.generateContentStream(asked)) texts.push(chunk.text);
    } catch (error) {
      return { texts, ...told(error) };
    }
    return { texts };
  },
};

function shown(value) {
  return JSON.parse(JSON.stringify(value, (name, item) => (name === "sdkHttpResponse" ? undefined : item)) ?? "null");
}

for (const [name, scenario] of Object.entries(scenarios)) {
  if (names.length && !names.includes(name)) continue;
  wire.length = 0;
  let result;
  try {
    result = shown(await scenario());
  } catch (error) {
    result = { failed: told(error), stack: error.stack };
  }
  const answers = [];
  for (const { body, ...answer } of wire) answers.push({ ...answer, ...(await body) });
  console.log(JSON.stringify({ name, result, wire: answers }));
}
