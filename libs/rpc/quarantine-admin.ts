// The operator's calls about records that could not be read, over gRPC: what a queue instance answers.
//
// Fails: a call that the queue cannot answer ends with INTERNAL and the reason.
import { type sendUnaryData, status } from '@grpc/grpc-js';
import type { AsideRecord, QuarantineAdminServer } from '#proto/postrider/v1/admin.ts';

export interface QuarantineAdminCalls {
  /** Without their octets, oldest first. */
  list(): Promise<AsideRecord[]>;
  /** Nothing when there is no such record. */
  show(number: number): Promise<AsideRecord | undefined>;
  /** False when there was none. */
  drop(number: number): Promise<boolean>;
}

/** For a server. */
export function quarantineAdminHandlers(calls: QuarantineAdminCalls): QuarantineAdminServer {
  return {
    list: (_call, done) => {
      calls.list().then((records) => done(null, { records }), failed(done));
    },
    show: ({ request: { number } }, done) => {
      const answer = (record: AsideRecord | undefined) => {
        if (record !== undefined) done(null, record);
        else done({ code: status.NOT_FOUND, details: `there is no record ${number} in quarantine` });
      };
      calls.show(number).then(answer, failed(done));
    },
    drop: ({ request: { number } }, done) => {
      calls.drop(number).then((found) => done(null, { found }), failed(done));
    },
  };
}

function failed<Answer>(done: sendUnaryData<Answer>): (error: Error) => void {
  return (error) => done({ code: status.INTERNAL, details: error.message });
}
