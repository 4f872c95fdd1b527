// The operator's calls about whose mail is traced, over gRPC: what a queue instance answers.
//
// Fails: a call that the queue cannot answer ends with INTERNAL and the reason.
import { type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import type { ForceTraceRequest, StopTraceRequest, TraceAdminServer } from '#proto/postrider/v1/admin.ts';
import type { TraceRule } from '#proto/postrider/v1/rules.ts';

export type ForcedAnswer =
  | { kind: 'forced'; rule: TraceRule }
  /** What was asked for is no rule. */
  | { kind: 'invalid'; reason: string }
  /** There is no room for one more. */
  | { kind: 'full'; reason: string };

export interface TraceAdminCalls {
  force(request: ForceTraceRequest): Promise<ForcedAnswer>;
  /** Those that hold. */
  listForced(): Promise<TraceRule[]>;
  /** False when there was no such rule. */
  stop(name: string): Promise<boolean>;
}

const REFUSED = { invalid: status.INVALID_ARGUMENT, full: status.RESOURCE_EXHAUSTED } as const;

/** For a server. */
export function traceAdminHandlers(calls: TraceAdminCalls): TraceAdminServer {
  return {
    force: ({ request }: ServerUnaryCall<ForceTraceRequest, TraceRule>, done: sendUnaryData<TraceRule>) => {
      const answer = (forced: ForcedAnswer) => {
        if (forced.kind === 'forced') done(null, forced.rule);
        else done({ code: REFUSED[forced.kind], details: forced.reason });
      };
      calls.force(request).then(answer, failed(done));
    },
    listForced: (_call, done) => {
      calls.listForced().then((rules) => done(null, { rules }), failed(done));
    },
    stop: ({ request }: ServerUnaryCall<StopTraceRequest, { found: boolean }>, done) => {
      calls.stop(request.name).then((found) => done(null, { found }), failed(done));
    },
  };
}

function failed<Answer>(done: sendUnaryData<Answer>): (error: Error) => void {
  return (error) => done({ code: status.INTERNAL, details: error.message });
}
