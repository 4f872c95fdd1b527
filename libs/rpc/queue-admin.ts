// The operator's calls to the queue over gRPC: the server that a queue instance runs.
//
// Fails: a port that is taken or wrong, as listening.ts says. A call that the queue cannot answer ends with INTERNAL and the
// reason.
import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import {
  type FlushAnswer,
  type FlushRequest,
  type ListItem,
  type ListRequest,
  QuarantineAdminService,
  QueueAdminService,
  type QueuedMail,
  type QueueSummary,
  TraceAdminService,
} from '#proto/postrider/v1/admin.ts';
import { listen } from './listening.ts';
import { type QuarantineAdminCalls, quarantineAdminHandlers } from './quarantine-admin.ts';
import { type TraceAdminCalls, traceAdminHandlers } from './trace-admin.ts';

/** Calls in flight get this long when the server stops. */
const STOP_WITHIN_MS = 1000;

export interface Listing {
  mails: QueuedMail[];
  summary: QueueSummary;
}

/** How many recipients were made due, and what of the cluster had a part in it. */
export type Flushed = Omit<FlushAnswer, 'partitions'>;

export interface QueueAdminOptions {
  address: string;
  /** 0 lets the system choose. */
  port: number;
  list(request: ListRequest): Promise<Listing>;
  flush(request: FlushRequest): Promise<Flushed>;
  traces: TraceAdminCalls;
  quarantine: QuarantineAdminCalls;
}

export interface QueueAdminServer {
  /** The real port: not the one asked for when that was taken. */
  readonly port: number;
  stop(): Promise<void>;
}

/** Serves the calls until it is stopped. */
export async function serveQueueAdmin(options: QueueAdminOptions): Promise<QueueAdminServer> {
  const { address, port: wanted } = options;
  const { server, port } = await listen({ name: 'admin', address, port: wanted }, (fresh) => {
    fresh.addService(QueueAdminService, {
      list: (call: ServerWritableStream<ListRequest, ListItem>) => void answerList(call, options),
      flush: (call: ServerUnaryCall<FlushRequest, FlushAnswer>, done: sendUnaryData<FlushAnswer>) => {
        options.flush(call.request).then(
          (flushed) => done(null, flushed),
          (error) => done({ code: status.INTERNAL, details: reasonOf(error) }),
        );
      },
    });
    fresh.addService(TraceAdminService, traceAdminHandlers(options.traces));
    fresh.addService(QuarantineAdminService, quarantineAdminHandlers(options.quarantine));
  });
  return { port, stop: () => stop(server) };
}

async function answerList(
  call: ServerWritableStream<ListRequest, ListItem>,
  options: QueueAdminOptions,
): Promise<void> {
  try {
    const { mails, summary } = await options.list(call.request);
    for (const mail of mails) {
      if (call.cancelled) return;
      await written(call, { item: { $case: 'mail', value: mail } });
    }
    await written(call, { item: { $case: 'summary', value: summary } });
    call.end();
  } catch (error) {
    call.emit('error', { code: status.INTERNAL, details: reasonOf(error) });
  }
}

/** Resolves when there is room for more: a slow reader costs no memory here. */
function written(call: ServerWritableStream<ListRequest, ListItem>, item: ListItem): Promise<void> {
  if (call.write(item)) return Promise.resolve();
  return new Promise((resolve) => {
    const goOn = () => {
      call.off('drain', goOn);
      call.off('cancelled', goOn);
      resolve();
    };
    call.on('drain', goOn);
    call.on('cancelled', goOn);
  });
}

async function stop(server: Server): Promise<void> {
  const quiet = new Promise<void>((done) => server.tryShutdown(() => done()));
  const patience = new Promise<void>((done) => setTimeout(done, STOP_WITHIN_MS).unref());
  await Promise.race([quiet, patience]);
  server.forceShutdown();
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
