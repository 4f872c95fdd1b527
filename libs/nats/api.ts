// Calls of the JetStream API that answer in JSON.
//
// Fails: `unavailable` when nobody answers in time; an error of the API is a value with its number, and so is an answer that
// cannot be read.
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
  const value = parsed<T & { error?: ApiError }>(answer.data);
  if (value === undefined) return { kind: 'error', error: { code: 0, description: 'an answer of no sense' } };
  return value.error === undefined ? { kind: 'ok', value } : { kind: 'error', error: value.error };
}

/** Undefined when it is no JSON, or not of an object. */
function parsed<T>(data: Uint8Array): T | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(data).toString());
    return typeof value === 'object' && value !== null ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
