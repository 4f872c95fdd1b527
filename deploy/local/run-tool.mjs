// Runs a program of the machine and collects what it says. Plain JavaScript for Node >= 20.
//
// Fails: not there, timed out or ended with another code than 0 -> an error whose message has its last words.
import { spawn } from 'node:child_process';

const LAST_WORDS = 400;

/**
 * Standard output of the program.
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number }} [options]
 * @returns {Promise<string>}
 */
export function runTool(program, args, { cwd, env, timeoutMs = 300_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, timeout: timeoutMs, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let said = '';
    child.stdout.on('data', (data) => {
      out += data;
      said += data;
    });
    child.stderr.on('data', (data) => {
      said += data;
    });
    child.once('error', (error) => reject(new Error(`${program}: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(out);
      const end = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
      reject(new Error(`${program} ${end}: ${said.trim().slice(-LAST_WORDS)}`));
    });
  });
}
