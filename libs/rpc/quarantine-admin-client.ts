// The operator's calls about records that could not be read, over gRPC: the client, for the command line and for tests.
//
// Fails: a QueueAdminError, whose message is one line that an operator can act on.
import { credentials } from '@grpc/grpc-js';
import { type AsideRecord, QuarantineAdminClient } from '#proto/postrider/v1/admin.ts';
import { askOnce, CLIENT_OPTIONS } from './admin-call.ts';

export interface QuarantineAdmin {
  /** Without their octets, oldest first. */
  list(): Promise<AsideRecord[]>;
  show(number: number): Promise<AsideRecord>;
  /** False when there was none. */
  drop(number: number): Promise<boolean>;
  close(): void;
}

/** A client of the queue instance at `address` ("host:port"); it connects with the first call. */
export function connectQuarantineAdmin(address: string): QuarantineAdmin {
  const client = new QuarantineAdminClient(address, credentials.createInsecure(), CLIENT_OPTIONS);
  const { list, show, drop } = QuarantineAdminClient.service;
  return {
    list: async () => (await askOnce(client, list, {}, address)).records,
    show: (number) => askOnce(client, show, { number }, address),
    drop: async (number) => (await askOnce(client, drop, { number }, address)).found,
    close: () => client.close(),
  };
}
