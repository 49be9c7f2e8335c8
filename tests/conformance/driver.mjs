// What the conformance suite runs as "the client": a probe of the URL that it appends to the command. What a client is to
// know beforehand (credentials) comes in an environment variable.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT || '{}');
const definition = { url: process.argv.at(-1), events: ['tools', 'prompts', 'resources'] };
if (context.client_id) {
  definition.auth = { type: 'client_credentials', clientId: context.client_id };
  if (context.private_key_pem) {
    Object.assign(definition.auth, { privateKey: context.private_key_pem, algorithm: context.signing_algorithm });
  } else {
    definition.auth.clientSecret = context.client_secret;
  }
}
const probe = (...options) => {
  const program = join(process.env.MCP_BROKER_BIN, 'mcp-brokerctl');
  return spawnSync(program, ['--json', 'probe', '-', '--wait', '100ms', ...options], {
    input: JSON.stringify(definition), encoding: 'utf8', stdio: ['pipe', 'pipe', 'inherit'],
  });
};

/** What a scenario wants to be called; the last one, with what a listener got to see of another tool. */
const calls = {
  tools_call: () => 'add_numbers={"a":5,"b":3}',
  'sse-retry': () => 'test_reconnection',
  'http-invalid-tool-headers': () => 'valid_tool',
  'json-schema-2020-12-preservation': () => {
    const { tools } = JSON.parse(probe('--lists').stdout);
    const { inputSchema: schema } = tools.find(({ name }) => name !== 'json_schema_echo');
    return `json_schema_echo=${JSON.stringify({ schema })}`;
  },
};
const call = calls[process.env.MCP_CONFORMANCE_SCENARIO]?.();
const { status, stdout } = probe(...(call ? ['--call', call] : []));
process.stdout.write(stdout);
process.exitCode = status ?? 1;
