// Asks grpc.health.v1, as probes do.
//
// Fails: a check rejects with a HealthError that says why nobody answers; a watch ends with one.
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { service } from 'grpc-health-check';

const ANSWER_WAIT_MS = 3_000;

export class HealthError extends Error {}

export interface HealthWatch {
  /** What was said so far, in order; the first is what holds when the watch begins. */
  readonly heard: string[];
  /** Resolves with the reason when the server ends it, or to "cancelled". */
  readonly ended: Promise<string>;
  cancel(): void;
}

export interface HealthClient {
  /** "SERVING" or "NOT_SERVING". */
  check(name: string, answerWaitMs?: number): Promise<string>;
  watch(name: string): HealthWatch;
  close(): void;
}

function statusIn(answer: unknown): string {
  return String((answer as { status?: unknown } | undefined)?.status ?? 'nothing');
}

/** A client of the service at `address` ("host:port"); it connects with the first call. */
export function connectHealth(address: string): HealthClient {
  // A proxy of the environment is for the web, not for this.
  const client = new Client(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
  return {
    check: (name, answerWaitMs = ANSWER_WAIT_MS) => check(client, { address, name, answerWaitMs }),
    watch: (name) => watch(client, name),
    close: () => client.close(),
  };
}

function check(
  client: Client,
  { address, name, answerWaitMs }: { address: string; name: string; answerWaitMs: number },
): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = service.Check!;
  return new Promise((resolve, reject) => {
    const onAnswer = (error: ServiceError | null, answer?: unknown) => {
      if (error === null) resolve(statusIn(answer));
      else reject(new HealthError(`${address} does not say whether it is ${name}: ${error.details}`));
    };
    const deadline = Date.now() + answerWaitMs;
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { service: name },
      { deadline },
      onAnswer,
    );
  });
}

function watch(client: Client, name: string): HealthWatch {
  const { path, requestSerialize, responseDeserialize } = service.Watch!;
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service: name });
  const heard: string[] = [];
  call.on('data', (answer: unknown) => heard.push(statusIn(answer)));
  const ended = new Promise<string>((resolve) => {
    call.on('error', (error: ServiceError) => resolve(error.details));
    call.on('end', () => resolve('ended'));
  });
  return { heard, ended, cancel: () => call.cancel() };
}
