#!/usr/bin/env node
// `postrider`: the operator's command line.
import { run } from './command-line.ts';

process.exitCode = await run(process.argv, {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  now: Date.now,
});
