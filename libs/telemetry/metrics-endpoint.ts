// The Prometheus endpoint of a service: GET /metrics.
//
// Fails: a configured port that is taken (several instances on one machine) -> a port that the system chooses, and a
// line in the log; an address that is not ours -> error.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface MetricsEndpoint {
  readonly port: number;
  stop(): Promise<void>;
}

export interface EndpointOptions {
  address: string;
  /** 0 lets the system choose. */
  port: number;
  /** Answers with all metrics. */
  respond: (request: IncomingMessage, response: ServerResponse) => void;
  onTrouble: (reason: string) => void;
}

function listen(server: Server, address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      server.removeListener('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

async function listenSomewhere(server: Server, options: EndpointOptions): Promise<number> {
  const { address, port, onTrouble } = options;
  try {
    return await listen(server, address, port);
  } catch (error) {
    if (port === 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const chosen = await listen(server, address, 0);
    onTrouble(`metrics port ${address}:${port} is taken: using ${chosen}`);
    return chosen;
  }
}

export async function serveMetrics(options: EndpointOptions): Promise<MetricsEndpoint> {
  const server = createServer((request, response) => {
    if (request.method === 'GET' && request.url?.split('?')[0] === '/metrics') {
      options.respond(request, response);
      return;
    }
    response.statusCode = 404;
    response.end('metrics are at /metrics\n');
  });
  const port = await listenSomewhere(server, options);
  server.on('error', (error) => options.onTrouble(`metrics endpoint: ${error.message}`));
  server.unref();
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port, stop };
}
