// One SMTP or LMTP session as its client: dials one address after the other until one serves us, secures the connection
// where that is offered, and carries mail after mail (RFC 5321 §3, RFC 2033, RFC 2920, RFC 3207). It does no I/O and
// reads no clock; what a reply means for a mail is decided in outcome-table.ts alone. Mutates the session in place.
//
//   unopened ─opened─▶ connecting ─▶ greeting ─220─▶ hello ──250──────────────▶ idle
//                        ▲  ▲                         │  ▲  └─STARTTLS offered─▶ starttls ─220─▶ handshake
//                        │  └── next address ◀────────┘  └──────────────── secured ─────────────────┘ │
//                        └───── same address without TLS ◀────────── trouble of starttls or handshake ┘
//
//   idle ─mailGiven─▶ addressing ─354─▶ (streaming) ─▶ passing ─checkpointPassed─▶ ending ─reply─▶ idle
//     ▲                │   │ └─354, no recipient─▶ emptying ─reply─▶ idle
//     └─ MAIL refused ─┘   └─ refused ─▶ soiled ─mailGiven (RSET first)─▶ addressing
//
//   any ─ 421, silence, words out of step, dismissed ─▶ closed     addressing, passing, ending ─ dotRefused ─▶ closed
//
// Invariants:
//   C1  A final dot of a mail is sent once, after 354, for at least one accepted recipient, when the checkpoint that was
//       asked for this mail is passed.
//   C2  Every mail given ends in exactly one of finished, stale, closed, down, refused and data lost; the results have one entry
//       for each recipient.
//   C3  A recipient is accepted only by a reply to the final dot.
//   C4  Nothing that a server said before the TLS handshake counts after it (RFC 3207 §4.2).
//   C5  Stale is told only for a connection that answered an earlier mail, and before MAIL of this one was answered.
//   C6  After closed there is no effect.
//   C7  Addresses are dialled in their order, each once, and once more without TLS when TLS failed there.
//   C8  Refused is told only for a mail whose final dot has not left.
import {
  CLOSED,
  type ClientInput,
  type ClientPolicy,
  type ClientSession,
  type Effects,
  HANG_UP,
  impossible,
  NOTHING,
} from './client-session.ts';
import { NO_EXTENSIONS } from './extensions.ts';
import { DATA_BLOCK_TIMEOUT_MS, STAGE_TIMEOUT_MS } from './outcome-table.ts';
import { stageOfSetup, whileSettingUp } from './setup.machine.ts';
import {
  begin,
  stageOfAddressing,
  whileAddressing,
  whileEmptying,
  whileEnding,
  whilePassing,
  whileStreaming,
} from './transaction.machine.ts';

/** A new session; feed it `opened` first. */
export function openSession(): ClientSession {
  return {
    phase: { name: 'unopened' },
    target: 0,
    tls: 'unwanted',
    extensions: NO_EXTENSIONS,
    history: 'fresh',
  };
}

/** True when a mail may be given. */
export function isReady(session: ClientSession): boolean {
  return session.phase.name === 'idle' || session.phase.name === 'soiled';
}

/** How long the server may be silent now, milliseconds (RFC 5321 §4.5.3.2); 0 while it is not its turn. */
export function patienceMs({ phase }: ClientSession): number {
  switch (phase.name) {
    case 'idle':
    case 'soiled':
    case 'passing':
    case 'closed':
      return 0;
    case 'addressing':
      return STAGE_TIMEOUT_MS[stageOfAddressing(phase)];
    case 'streaming':
      return DATA_BLOCK_TIMEOUT_MS;
    case 'ending':
    case 'emptying':
      return STAGE_TIMEOUT_MS.dot;
    default:
      return STAGE_TIMEOUT_MS[stageOfSetup(phase)];
  }
}

/** Changes `session` in place and returns what to do, in order. Throws on a fact that cannot happen now. */
export function receive(session: ClientSession, input: ClientInput, policy: ClientPolicy): Effects {
  const { phase } = session;
  switch (phase.name) {
    case 'idle':
    case 'soiled':
      return whileReady(session, input);
    case 'addressing':
      return whileAddressing(session, phase, input);
    case 'ending':
      return whileEnding(session, phase, input, policy);
    case 'passing':
      return whilePassing(session, phase, input);
    case 'streaming':
      return whileStreaming(session, phase, input);
    case 'emptying':
      return whileEmptying(session, phase, input);
    case 'closed':
      return NOTHING; // C6
    default:
      return whileSettingUp(session, phase, input, policy);
  }
}

function whileReady(session: ClientSession, input: ClientInput): Effects {
  switch (input.kind) {
    case 'mailGiven':
      return begin(session, input.mail);
    // A server that has something to say now ends the session, or is out of step.
    case 'replied':
    case 'silent':
      session.phase = CLOSED;
      return [HANG_UP, { do: 'tellClosed', results: undefined }];
    case 'dismissed':
      session.phase = CLOSED;
      return [{ do: 'leave' }];
    default:
      return impossible(session, input);
  }
}
