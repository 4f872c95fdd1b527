// The operator's calls to the queue over gRPC: the client, for the command line and for tests.
//
// Fails: a QueueAdminError, whose message is one line that an operator can act on.
import { credentials, type ServiceError } from '@grpc/grpc-js';
import {
  type FlushRequest,
  type ListItem,
  type ListRequest,
  QueueAdminClient,
  type QueuedMail,
  type QueueSummary,
} from '#proto/postrider/v1/admin.ts';
import { ANSWER_WAIT_MS, askOnce, CLIENT_OPTIONS, explained } from './admin-call.ts';
import type { Flushed, Listing } from './queue-admin.ts';

export interface QueueAdmin {
  list(request: ListRequest): Promise<Listing>;
  flush(request: FlushRequest): Promise<Flushed>;
  close(): void;
}

/** A client of the queue instance at `address` ("host:port"); it connects with the first call. */
export function connectQueueAdmin(address: string): QueueAdmin {
  const client = new QueueAdminClient(address, credentials.createInsecure(), CLIENT_OPTIONS);
  const { flush } = QueueAdminClient.service;
  return {
    list: (request) => list(client, address, request),
    flush: (request) => askOnce(client, flush, request, address),
    close: () => client.close(),
  };
}

const NOTHING_SAID: QueueSummary = {
  mails: 0,
  phases: [],
  instances: 0,
  answered: 0,
  clocks: undefined,
  partitionsMissed: 0,
};

function list(client: QueueAdminClient, address: string, request: ListRequest): Promise<Listing> {
  return new Promise((resolve, reject) => {
    const mails: QueuedMail[] = [];
    let summary = NOTHING_SAID;
    const call = client.list(request, { deadline: Date.now() + ANSWER_WAIT_MS });
    call.on('data', ({ item }: ListItem) => {
      if (item?.$case === 'mail') mails.push(item.value);
      if (item?.$case === 'summary') summary = item.value;
    });
    call.on('error', (error: ServiceError) => reject(explained(error, address)));
    call.on('end', () => resolve({ mails, summary }));
  });
}
