// Vercel's AI SDK as a program uses it: node talk.mjs BASE_URL KEY. Prints one JSON object.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [baseURL, apiKey] = process.argv.slice(2);
const gemgate = createOpenAICompatible({
  name: "gemgate",
  baseURL,
  apiKey,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = gemgate("gemini-3.8-flash");
const prompt = "Tell me about rivers.";

const whole = await generateText({ model, prompt });
const stream = streamText({ model, prompt });
let streamed = "";
for await (const piece of stream.textStream) streamed += piece;

const cities = [];
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    cities.push(city);
    return { weather: "fine" };
  },
});
const asked = { model, prompt: "How is the weather in Paris?", tools: { get_weather: weather }, stopWhen: stepCountIs(6) };
const talk = await generateText(asked);
const streamedTalk = streamText(asked);
let streamedAnswer = "";
for await (const piece of streamedTalk.textStream) streamedAnswer += piece;

const town = await generateObject({
  model,
  prompt: "Name a town.",
  schema: z.object({ name: z.string(), people: z.number().int() }),
});
const vectors = await embedMany({ model: gemgate.embeddingModel("gemini-embedding-001"), values: ["a", "b"] });

console.log(
  JSON.stringify({
    whole: { text: whole.text, finish: whole.finishReason, usage: whole.usage },
    streamed: { text: streamed, finish: await stream.finishReason, usage: await stream.usage },
    tools: { text: talk.text, steps: talk.steps.length, calls: cities.length },
    streamedTools: { text: streamedAnswer, steps: (await streamedTalk.steps).length },
    town: town.object,
    vectors: vectors.embeddings.map(({ length }) => length),
  }),
);
