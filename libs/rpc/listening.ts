// Binds a gRPC server to an address, for every server of ours.
//
// Fails: a port that another process on this machine has is replaced by one that the system chooses; any other trouble
// with the address throws, in words that name it.
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';

export interface Listening {
  server: Server;
  /** The real one: not the one asked for when that was taken. */
  port: number;
}

/** `name` is that of the configuration key, for errors; port 0 lets the system choose; `fill` adds the services. */
export async function listen(
  { name, address, port }: { name: string; address: string; port: number },
  fill: (server: Server) => void,
): Promise<Listening> {
  // What goes wrong is thrown or said to the caller; the library need not write it to standard error as well.
  setLogVerbosity(logVerbosity.NONE);
  try {
    return await listenAt(address, port, fill);
  } catch (error) {
    if (port === 0 || !isAddressInUse(error)) {
      throw new Error(
        `${name}: cannot listen on ${endpointText(address, port)}: ${(error as Error).message}`,
      );
    }
    return await listenAt(address, 0, fill);
  }
}

async function listenAt(address: string, wanted: number, fill: (server: Server) => void): Promise<Listening> {
  // Without SO_REUSEPORT: two processes on one port would each get half of the calls.
  const server = new Server({ 'grpc.so_reuseport': 0 });
  fill(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(endpointText(address, wanted), ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return { server, port };
}

function isAddressInUse(error: unknown): boolean {
  return /EADDRINUSE/.test(String(error));
}

/** "host:port", with brackets around an IPv6 address. */
export function endpointText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
