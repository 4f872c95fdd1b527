// The operator's calls to the queue over gRPC: the client, for the command line and for tests.
//
// Fails: a QueueAdminError, whose message is one line that an operator can act on.
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import {
  type FlushAnswer,
  type FlushRequest,
  type ListItem,
  type ListRequest,
  QueueAdminClient,
  type QueuedMail,
  type QueueSummary,
} from '#proto/postrider/v1/admin.ts';
import type { Listing } from './queue-admin.ts';

const ANSWER_WAIT_MS = 15_000;

export class QueueAdminError extends Error {}

export interface QueueAdmin {
  list(request: ListRequest): Promise<Listing>;
  /** How many recipients were made due. */
  flush(request: FlushRequest): Promise<number>;
  close(): void;
}

/** A client of the queue instance at `address` ("host:port"); it connects with the first call. */
export function connectQueueAdmin(address: string): QueueAdmin {
  const client = new QueueAdminClient(address, credentials.createInsecure(), {
    // A proxy of the environment is for the web, not for this.
    'grpc.enable_http_proxy': 0,
  });
  return {
    list: (request) => list(client, address, request),
    flush: (request) => flush(client, address, request),
    close: () => client.close(),
  };
}

const NOTHING_SAID: QueueSummary = { mails: 0, phases: [], instances: 0, answered: 0 };

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

function flush(client: QueueAdminClient, address: string, request: FlushRequest): Promise<number> {
  return new Promise((resolve, reject) => {
    const onAnswer = (error: ServiceError | null, answer?: FlushAnswer) => {
      if (error !== null || answer === undefined) reject(explained(error, address));
      else resolve(answer.recipients);
    };
    const deadline = Date.now() + ANSWER_WAIT_MS;
    client.makeUnaryRequest(
      QueueAdminClient.service.flush.path,
      QueueAdminClient.service.flush.requestSerialize,
      QueueAdminClient.service.flush.responseDeserialize,
      request,
      { deadline },
      onAnswer,
    );
  });
}

function explained(error: ServiceError | null, address: string): QueueAdminError {
  switch (error?.code) {
    case status.UNAVAILABLE:
      return new QueueAdminError(
        `no queue answers at ${address}: is it running, and is that its admin port?`,
      );
    case status.DEADLINE_EXCEEDED:
      return new QueueAdminError(`the queue at ${address} did not answer within ${ANSWER_WAIT_MS / 1000} s`);
    case status.UNIMPLEMENTED:
      return new QueueAdminError(`what listens at ${address} is not a queue of this version`);
    default:
      return new QueueAdminError(`the queue at ${address} refused: ${error?.details || 'no reason given'}`);
  }
}
