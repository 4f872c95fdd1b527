import { expect, test } from '@jest/globals';
import { CheckpointRoom } from './checkpoint-room.actor.ts';

const MAX = 32 * 1024 * 1024;

function roomThat(answers: (object | undefined)[]) {
  const link = {
    request: async () => {
      const answer = answers.shift();
      if (answer === undefined) return { kind: 'timeout' as const };
      return { kind: 'answer' as const, data: Buffer.from(JSON.stringify(answer)) };
    },
  };
  return new CheckpointRoom(link as unknown as ConstructorParameters<typeof CheckpointRoom>[0]);
}

const info = (bytes: number, more: { first_seq?: number; last_seq?: number; max_bytes?: number } = {}) => ({
  config: { max_bytes: more.max_bytes ?? MAX },
  state: { bytes, first_seq: more.first_seq ?? 101, last_seq: more.last_seq ?? 200 },
});

test('The older half is written again from a quarter of the room on', async () => {
  const room = roomThat([info(MAX / 4 - 1), info(MAX / 4), info(1000)]);
  await room.look();
  expect([room.share < 0.25, room.renewBelow]).toEqual([true, 0]);
  await room.look();
  expect([room.share, room.renewBelow]).toEqual([0.25, 151]);
  await room.look();
  expect(room.renewBelow).toBe(0);
});

test('Nothing is written again while nobody knows, and nothing in a stream without a bound', async () => {
  const room = roomThat([info(MAX), undefined, info(MAX, { max_bytes: -1 }), { error: { code: 503 } }, {}]);
  await room.look();
  expect([room.share, room.renewBelow]).toEqual([1, 151]);
  await room.look();
  expect([room.share, room.renewBelow]).toEqual([1, 0]);
  for (let i = 0; i < 3; i++) {
    await room.look();
    expect([room.share, room.renewBelow]).toEqual([0, 0]);
  }
});

test('JetStream is asked once at a time', async () => {
  const room = roomThat([info(MAX)]);
  await Promise.all([room.look(), room.look()]);
  expect(room.share).toBe(1);
});
