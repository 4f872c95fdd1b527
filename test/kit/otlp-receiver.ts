// A real OTLP/HTTP receiver for tests: takes protobuf export requests at /v1/traces and keeps the spans.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { decodeSpans, type ReceivedSpan } from './otlp-spans.ts';

const LOOK_EVERY_MS = 50;

export interface OtlpReceiver {
  /** Base URL, as `telemetry.otlpEndpoint` wants it. */
  readonly url: string;
  readonly spans: ReceivedSpan[];
  /** Resolves to the spans once `isEnough`; throws with the names of those that came when they do not in time. */
  waitFor(isEnough: (spans: ReceivedSpan[]) => boolean, timeoutMs?: number): Promise<ReceivedSpan[]>;
  stop(): Promise<void>;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const server = createServer(async (request, response) => {
    const isTraces = request.method === 'POST' && request.url === '/v1/traces';
    const isProtobuf = request.headers['content-type'] === 'application/x-protobuf';
    if (!isTraces || !isProtobuf) {
      response.writeHead(isTraces ? 415 : 404).end();
      return;
    }
    spans.push(...decodeSpans(await bodyOf(request)));
    // An empty ExportTraceServiceResponse: everything was taken.
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    async waitFor(isEnough, timeoutMs = 20_000) {
      const until = Date.now() + timeoutMs;
      while (!isEnough(spans)) {
        if (Date.now() > until) throw new Error(`spans so far: ${spans.map(({ name }) => name).join(', ')}`);
        await pause(LOOK_EVERY_MS);
      }
      return spans;
    },
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
