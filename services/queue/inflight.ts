// Asks the workers what they have of a partition: attempts that run, and outcomes that no owner acted on yet.
//
// Fails: a worker that does not answer in time is not among the answers; who asks decides what that means.
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { InflightAnswer, InflightRequest } from '#proto/postrider/v1/job.ts';

const INFLIGHT_WAIT_MS = 2000;
const ASK_TIMES_MAX = 5;

/** What the live workers have of the partition. Whoever answers ignores older epochs from then on. */
export async function askInflight(
  link: Link,
  owner: { readonly number: number; readonly epoch: number },
  workers: number,
): Promise<InflightAnswer[]> {
  if (workers === 0) return [];
  const request = InflightRequest.encode({
    partition: owner.number,
    epoch: owner.epoch,
    takesParts: false,
  }).finish();
  const options = { expected: workers, timeoutMs: INFLIGHT_WAIT_MS };
  const answers = await link.scatter(subjects.inflight(owner.number), request, options);
  return answers.map((answer) => InflightAnswer.decode(answer));
}

/** The same, asked again until every worker that lives has answered; a busy one gets ten seconds. */
export async function askAllInflight(
  link: Link,
  owner: { readonly number: number; readonly epoch: number },
  liveWorkers: () => ReadonlySet<string>,
): Promise<InflightAnswer[]> {
  const answers = new Map<string, InflightAnswer>();
  for (let asked = 0; asked < ASK_TIMES_MAX; asked++) {
    for (const answer of await askInflight(link, owner, liveWorkers().size)) {
      answers.set(answer.worker, answer);
    }
    if ([...liveWorkers()].every((worker) => answers.has(worker))) break;
  }
  return [...answers.values()];
}
