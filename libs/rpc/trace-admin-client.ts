// The operator's calls about whose mail is traced, over gRPC: the client, for the command line and for tests.
//
// Fails: a QueueAdminError, whose message is one line that an operator can act on.
import { credentials } from '@grpc/grpc-js';
import { type ForceTraceRequest, TraceAdminClient } from '#proto/postrider/v1/admin.ts';
import type { TraceRule } from '#proto/postrider/v1/rules.ts';
import { askOnce, CLIENT_OPTIONS } from './admin-call.ts';

export interface TraceAdmin {
  /** The rule as it was stored. */
  force(request: ForceTraceRequest): Promise<TraceRule>;
  listForced(): Promise<TraceRule[]>;
  /** False when there was no such rule. */
  stop(name: string): Promise<boolean>;
  close(): void;
}

/** A client of the queue instance at `address` ("host:port"); it connects with the first call. */
export function connectTraceAdmin(address: string): TraceAdmin {
  const client = new TraceAdminClient(address, credentials.createInsecure(), CLIENT_OPTIONS);
  const { force, listForced, stop } = TraceAdminClient.service;
  return {
    force: (request) => askOnce(client, force, request, address),
    listForced: async () => (await askOnce(client, listForced, {}, address)).rules,
    stop: async (name) => (await askOnce(client, stop, { name }, address)).found,
    close: () => client.close(),
  };
}
