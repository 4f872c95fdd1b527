// Calls of the JetStream API that answer in JSON.
//
// Fails: `unavailable` when nobody answers in time; an error of the API is a value with its number.
import type { Link } from './link.ts';

export interface ApiError {
  code: number;
  err_code?: number;
  description?: string;
}

export type ApiAnswer<T> =
  | { kind: 'ok'; value: T }
  | { kind: 'error'; error: ApiError }
  | { kind: 'unavailable' };

/** Asks `$JS.API.<call>`. */
export async function callApi<T>(
  link: Pick<Link, 'request'>,
  call: string,
  request: unknown,
  timeoutMs: number,
): Promise<ApiAnswer<T>> {
  const payload = Buffer.from(request === undefined ? '' : JSON.stringify(request));
  const answer = await link.request(`$JS.API.${call}`, payload, timeoutMs);
  if (answer.kind !== 'answer') return { kind: 'unavailable' };
  const value = JSON.parse(Buffer.from(answer.data).toString()) as T & { error?: ApiError };
  return value.error === undefined ? { kind: 'ok', value } : { kind: 'error', error: value.error };
}
