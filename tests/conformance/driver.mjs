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
const program = join(process.env.MCP_BROKER_BIN, 'mcp-brokerctl');
const { status } = spawnSync(program, ['--json', 'probe', '-', '--wait', '100ms'], {
  input: JSON.stringify(definition), stdio: ['pipe', 'inherit', 'inherit'],
});
process.exitCode = status ?? 1;
