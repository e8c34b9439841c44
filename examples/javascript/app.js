// EchoSkill in JavaScript: the same interface as skills/echo, from the same WIT. Asks for no capability.

import { cancelled, emit, report } from "venom:skill/progress@0.1.0";

const METHODS = {
  say: {
    summary: "Returns `text`, repeated.",
    params: { text: { type: "string" }, times: { type: "integer", default: 1 } },
    run: ({ text, times }) => text.repeat(times),
  },
  count: {
    summary: "Counts up, reporting progress and sending each number as a partial result.",
    params: { to: { type: "integer" } },
    run({ to }) {
      for (let number = 1; number <= to; number += 1) {
        if (cancelled()) throw { tag: "cancelled" };
        emit(JSON.stringify(number));
        report(number, to, "counting");
      }
      return to;
    },
  },
};

const FITS = {
  string: (value) => typeof value === "string",
  integer: (value) => Number.isInteger(value) && value >= 0,
};

function schema(params) {
  const required = Object.keys(params).filter((name) => params[name].default === undefined);
  return JSON.stringify({ type: "object", properties: params, required, additionalProperties: false });
}

function refuse(why) {
  return { tag: "invalid-params", val: why };
}

// The parameters with defaults filled in; refuses what the method does not take.
function checked(known, text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch (error) {
    throw refuse(`the parameters must be one JSON object: ${error.message}`);
  }
  if (given === null || typeof given !== "object" || Array.isArray(given)) {
    throw refuse("the parameters must be one JSON object");
  }
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(known, name)) {
      throw refuse(`unknown parameter \`${name}\`; known: ${Object.keys(known).join(", ")}`);
    }
  }
  const values = {};
  for (const [name, { type, default: fallback }] of Object.entries(known)) {
    const value = Object.hasOwn(given, name) ? given[name] : fallback;
    if (value === undefined) throw refuse(`parameter \`${name}\` is missing`);
    if (!FITS[type](value)) {
      throw refuse(`parameter \`${name}\`: expected ${type}, got ${JSON.stringify(value).slice(0, 80)}`);
    }
    values[name] = value;
  }
  return values;
}

export const api = {
  describe() {
    const methods = Object.entries(METHODS).map(([name, { summary, params }]) => ({
      name,
      summary,
      paramsSchema: schema(params),
      resultSchema: "",
    }));
    return { name: "EchoSkill", summary: "Says things back, in JavaScript.", methods };
  },

  invoke(method, params) {
    if (!Object.hasOwn(METHODS, method)) throw { tag: "unknown-method", val: method };
    const { params: known, run } = METHODS[method];
    return JSON.stringify(run(checked(known, params)));
  },
};
