// A server on the reference SDK (2.x) that speaks stdio in both eras. Each SIGUSR2 adds a tool, of which it tells its
// client, unless `mute` is an argument. With `stateless` it refuses the session era.
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const instances = new Set();
let tools = 1;
const register = (server, number) => server.registerTool(`tool-${number}`, { description: 'a tool' }, async () => ({ content: [] }));

process.on('SIGUSR2', () => {
  tools++;
  for (const server of instances) register(server, tools);
});
serveStdio(() => {
  const server = new McpServer({ name: 'stdio-stateless', version: '1.0.0' }, { capabilities: { tools: { listChanged: !process.argv.includes('mute') } } });
  for (let number = 1; number <= tools; number++) register(server, number);
  instances.add(server);
  return server;
}, { legacy: process.argv.includes('stateless') ? 'reject' : 'serve' });
