// A small HTTP proxy: absolute URIs, and CONNECT.
import { createServer, request as send } from 'node:http';
import { connect } from 'node:net';

/** {url, requests}: `requests` has the method and target of each, and its headers. With `refuse` set, it refuses. */
export async function startProxyServer(t) {
  const proxy = { requests: [], refuse: 0, sockets: new Set() };
  const keep = (socket) => proxy.sockets.add(socket.on('error', () => {}).on('close', () => proxy.sockets.delete(socket)));
  const note = ({ method, url, headers }) => proxy.requests.push({ method, target: url, headers });

  const http = createServer((request, response) => {
    note(request);
    if (proxy.refuse) return response.writeHead(proxy.refuse).end();
    const onward = send(request.url, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    return request.pipe(onward);
  });
  http.on('connect', (request, socket, head) => {
    note(request);
    keep(socket);
    if (proxy.refuse) return socket.end(`HTTP/1.1 ${proxy.refuse} No\r\n\r\n`);
    const [, host, port] = request.url.match(/^(.+):(\d+)$/);
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
    return keep(onward);
  });
  await new Promise((resolve, reject) => http.once('error', reject).listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    http.closeAllConnections();
    proxy.sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => http.close(resolve));
  });
  proxy.url = `http://127.0.0.1:${http.address().port}`;
  return proxy;
}
