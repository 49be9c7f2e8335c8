// nng's wire, as far as it takes to misuse it: a client of a Unix socket that greets as a protocol and then sends whatever
// bytes a test wants.
import { connect } from 'node:net';
import { once } from 'node:events';

export const protocols = { req: 0x30, sub: 0x21 };
const headSize = 9; // kind of message, length

/** The head of a message of `size` bytes. */
export function messageHead(size) {
  const head = Buffer.alloc(headSize);
  head[0] = 1;
  head.writeBigUInt64BE(BigInt(size), 1);
  return head;
}

/** A whole question: its number, then the body. */
export const question = (body, number = 1) => {
  const id = Buffer.alloc(4);
  id.writeUInt32BE((0x80000000 | number) >>> 0);
  return Buffer.concat([messageHead(4 + body.length), id, body]);
};

/** A msgpack map {v: 1, cmd, args: {}}. */
export const bodyOf = (command) =>
  Buffer.concat([Buffer.from([0x83, 0xa1]), Buffer.from('v'), Buffer.from([1, 0xa3]), Buffer.from('cmd'),
    Buffer.from([0xa0 + command.length]), Buffer.from(command), Buffer.from([0xa4]), Buffer.from('args'), Buffer.from([0x80])]);

/** Connects and greets. {socket, closed: whether the other side has closed, received: bytes after its greeting}. */
export async function nngClient(t, path, protocol = protocols.req) {
  const client = { socket: connect(path), closed: false, received: Buffer.alloc(0) };
  t.after(() => client.socket.destroy());
  client.socket.on('error', () => {}).on('close', () => (client.closed = true));
  await once(client.socket, 'connect');
  let greeting = 8;
  client.socket.on('data', (bytes) => {
    const rest = bytes.subarray(Math.min(greeting, bytes.length));
    greeting -= bytes.length - rest.length;
    client.received = Buffer.concat([client.received, rest]);
  });
  client.socket.write(Buffer.from([0, 0x53, 0x50, 0, 0, protocol, 0, 0]));
  return client;
}
