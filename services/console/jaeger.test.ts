// Peers that answer as Jaegers of other versions do; the one that the tests of the traces run is in test/jaeger.
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { tracesOfMail } from './jaeger.ts';

const QUEUE_ID = '040mwvuyh1pdq92g0001';
const TRACE_ID = '0000000000000000e40ebcde98434ab4';
const MAIL = { queueId: QUEUE_ID, acceptedAtMs: 1_795_595_093_190, nowMs: 1_795_595_099_000 };

let server: Server | undefined;
const asked: URL[] = [];

/** Its URL. */
async function peer(answer: (url: URL, response: ServerResponse) => void): Promise<string> {
  asked.length = 0;
  server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://jaeger.test');
    asked.push(url);
    answer(url, response);
  });
  await new Promise<void>((done) => server!.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((done) => (server === undefined ? done(undefined) : server.close(done)));
  server = undefined;
});

function spanJson(queueId: string, traceId = TRACE_ID) {
  const attributes = [
    { key: 'mail.queue_id', value: { stringValue: queueId } },
    { key: 'mail.wait_ms', value: { intValue: '42' } },
    { key: 'ratio', value: { doubleValue: 0.5 } },
    { key: 'is', value: { boolValue: true } },
    { key: 'list', value: { arrayValue: {} } },
  ];
  const times = { startTimeUnixNano: '1795595093190123456', endTimeUnixNano: '1795595093209603000' };
  return { traceId, spanId: '05c375369325345e', name: 'deliver attempt', kind: 3, attributes, ...times };
}

function tracesJson(...spans: object[]): string {
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'postrider-delivery' } }] };
  return JSON.stringify({ result: { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] } });
}

/** Up to 2.20: search at /api/traces; the id comes without its zeros. */
function older(url: URL, response: ServerResponse): void {
  if (url.pathname === `/api/v3/traces/${TRACE_ID}`) response.end(tracesJson(spanJson(QUEUE_ID)));
  else if (url.pathname !== '/api/traces') response.writeHead(404).end();
  else if (url.searchParams.get('service') !== 'postrider-delivery') response.end('{"data":[]}');
  else response.end(JSON.stringify({ data: [{ traceID: TRACE_ID.replace(/^0+/, '') }] }));
}

/** After 2.20: whatever is no API is the search page. */
function newer(url: URL, response: ServerResponse): void {
  if (url.pathname === `/api/v3/traces/${TRACE_ID}`) response.end(tracesJson(spanJson(QUEUE_ID)));
  else if (url.pathname !== '/api/v3/traces') response.end('<!doctype html><title>Jaeger UI</title>');
  else if (url.searchParams.get('query.serviceName') !== 'postrider-delivery') {
    response.writeHead(404).end('{"error":{"httpCode":404,"message":"No traces found"}}');
  } else response.end(tracesJson(spanJson(QUEUE_ID), spanJson('another', 'a'.repeat(32))));
}

describe('A Jaeger', () => {
  test.each([
    ['up to 2.20', older],
    ['after 2.20', newer],
  ])('%s is asked in its own way for the traces of a mail', async (_which, answer) => {
    const { spans, isCut } = await tracesOfMail(await peer(answer), MAIL);
    expect(isCut).toBe(false);
    expect(spans).toEqual([
      {
        service: 'postrider-delivery',
        traceId: TRACE_ID,
        spanId: '05c375369325345e',
        parentSpanId: '',
        name: 'deliver attempt',
        kind: 3,
        startMs: 1_795_595_093_190.123,
        endMs: 1_795_595_093_209.603,
        attributes: { 'mail.queue_id': QUEUE_ID, 'mail.wait_ms': 42, ratio: 0.5, is: true },
        events: [],
        links: [],
        failed: false,
      },
    ]);
    const [first] = asked;
    expect(first!.searchParams.get('tags')).toBe(`{"mail.queue_id":"${QUEUE_ID}"}`);
    expect(Number(first!.searchParams.get('end'))).toBeGreaterThan(MAIL.nowMs * 1000);
  });

  test('that knows nothing of the mail is no error', async () => {
    const url = await peer((_url, response) => response.writeHead(404).end());
    expect(await tracesOfMail(`${url}/`, MAIL)).toEqual({ spans: [], isCut: false });
  });

  test('that refuses is quoted on one line', async () => {
    const url = await peer((_url, response) => response.writeHead(500).end('{"error":\n"no storage"}'));
    const refused = `Jaeger refused ${url}/api/traces: 500 {"error": "no storage"}`;
    await expect(tracesOfMail(url, MAIL)).rejects.toThrow(refused);
  });

  test('is told from what answers with broken JSON, and from nobody', async () => {
    const url = await peer((_url, response) => response.end('{'));
    await expect(tracesOfMail(url, MAIL)).rejects.toThrow('is no Jaeger: its JSON is broken');
    await new Promise((done) => server!.close(done));
    await expect(tracesOfMail(url, MAIL)).rejects.toThrow(`no Jaeger answers at ${url}: ECONNREFUSED`);
  });
});
