// How evenly ordinary load is spread over streams and partitions, when there are two streams and when there are four.
// Fails: never.
import { setTimeout as pause } from 'node:timers/promises';
import { partitionOf } from '#libs/mail/queue-id.ts';
import { TroubleStage } from './trouble-stage.ts';

const RATES = [20, 200];
const STREAMS = [2, 4];

export async function evenness({ seconds, say }: { seconds: number; say: (line: string) => void }) {
  say('\nevenness: shares of ordinary load');
  for (const spoolStreams of STREAMS) {
    for (const perSecond of RATES) {
      const stage = await TroubleStage.open({ spoolStreams, spoolSizeMax: '256 MiB' });
      try {
        const sender = stage.offer({ domain: 'healthy.test', perSecond, octets: 2048 });
        await pause(seconds * 1000);
        say(
          `  ${spoolStreams} streams, ${perSecond} mails/s: ${sharesText(stage, [...sender.accepted.values()])}`,
        );
      } finally {
        await stage.close();
      }
    }
  }
}

function sharesText(stage: TroubleStage, queueIds: readonly string[]): string {
  const counts = new Map<number, number>();
  for (const id of queueIds) counts.set(partitionOf(id), (counts.get(partitionOf(id)) ?? 0) + 1);
  const percent = (count: number) => `${((100 * count) / queueIds.length).toFixed(1)} %`;
  const ofStream = stage.streams.map((k) =>
    stage.partitionsOf(k).reduce((sum, p) => sum + (counts.get(p) ?? 0), 0),
  );
  const ofPartition = stage.streams.flatMap((k) => stage.partitionsOf(k).map((p) => counts.get(p) ?? 0));
  return (
    `${ofStream.map(percent).join(', ')} by stream; ` +
    `${percent(Math.min(...ofPartition))} to ${percent(Math.max(...ofPartition))} by partition (even: ${percent(queueIds.length / ofPartition.length)})`
  );
}
