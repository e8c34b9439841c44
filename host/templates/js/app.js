// {{name}}: a sandboxed skill.

const HELLO = {
  name: "hello",
  summary: "Greets someone.",
  paramsSchema: JSON.stringify({
    type: "object",
    properties: { name: { type: "string", default: "world", description: "Whom to greet." } },
    additionalProperties: false,
  }),
  resultSchema: JSON.stringify({ type: "string" }),
};

function hello({ name = "world", ...others }) {
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw { tag: "invalid-params", val: `unknown parameter \`${unknown}\`; known: name` };
  if (typeof name !== "string") throw { tag: "invalid-params", val: "parameter `name`: expected string" };
  return `hello, ${name}`;
}

export const api = {
  describe() {
    return { name: "{{name}}", summary: "Says hello.", methods: [HELLO] };
  },

  invoke(method, params) {
    if (method !== "hello") throw { tag: "unknown-method", val: method };
    const given = JSON.parse(params);
    if (given === null || typeof given !== "object" || Array.isArray(given)) {
      throw { tag: "invalid-params", val: "the parameters must be one JSON object" };
    }
    return JSON.stringify(hello(given));
  },
};
