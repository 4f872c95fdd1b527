// One call of an operator to a queue instance, for all clients of the admin address.
//
// Fails: a QueueAdminError, whose message is one line that an operator can act on.
import { type Client, type MethodDefinition, type ServiceError, status } from '@grpc/grpc-js';

/** A call gets this long. */
export const ANSWER_WAIT_MS = 15_000;

export class QueueAdminError extends Error {}

/** A proxy of the environment is for the web, not for this. */
export const CLIENT_OPTIONS = { 'grpc.enable_http_proxy': 0 };

/** The one answer to one request. */
export function askOnce<Request, Answer>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Answer>,
  request: Request,
  address: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const onAnswer = (error: ServiceError | null, answer?: Answer) => {
      if (error !== null || answer === undefined) reject(explained(error, address));
      else resolve(answer);
    };
    const deadline = Date.now() + ANSWER_WAIT_MS;
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, onAnswer);
  });
}

export function explained(error: ServiceError | null, address: string): QueueAdminError {
  switch (error?.code) {
    case status.UNAVAILABLE:
      return new QueueAdminError(
        `no queue answers at ${address}: is it running, and is that its admin port?`,
      );
    case status.DEADLINE_EXCEEDED:
      return new QueueAdminError(`the queue at ${address} did not answer within ${ANSWER_WAIT_MS / 1000} s`);
    case status.UNIMPLEMENTED:
      return new QueueAdminError(`what listens at ${address} is not a queue of this version`);
    case status.INVALID_ARGUMENT:
    case status.NOT_FOUND:
    case status.RESOURCE_EXHAUSTED:
      return new QueueAdminError(error.details);
    default:
      return new QueueAdminError(`the queue at ${address} refused: ${error?.details || 'no reason given'}`);
  }
}
