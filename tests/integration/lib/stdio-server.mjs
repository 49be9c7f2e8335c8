// A server on the reference SDK (1.x) that speaks stdio. Each SIGUSR2 adds a tool, of which it tells its client.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';

const server = new McpServer({ name: 'stdio-server', version: '1.0.0' });
let tools = 0;
const addTool = () => server.registerTool(`tool-${++tools}`, { description: 'a tool' }, async () => ({ content: [] }));

addTool();
process.on('SIGUSR2', addTool);
await server.connect(new StdioServerTransport());
