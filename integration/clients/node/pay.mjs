// Posts an order to the sidecar. Node 18 and later.
// Exit status: 0 verified, 10 not sent, 11 unknown, 12 unverified.
import { readFile } from 'node:fs/promises';

const [url, file] = process.argv.slice(2);

async function pay(url, json) {
  let answer;
  let body;
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: json,
      redirect: 'error',
      signal: AbortSignal.timeout(40_000), // longer than the sidecar's timeout of 30 s
    });
    body = await answer.text();
  } catch (error) {
    const notSent = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN'].includes(error.cause?.code);
    return [notSent ? 'not_sent' : 'unknown', 'sidecar_unreachable'];
  }
  const outcome = answer.headers.get('Countersign-Outcome');
  if (outcome) return [outcome, JSON.parse(body).reason];
  if (answer.headers.get('Countersign-Verified') !== 'true') return ['unverified', 'not_verified'];
  return ['verified', body];
}

// Large numbers: JSON.parse would change 20881234567890123456, so the file is sent as it is.
const [outcome, text] = await pay(url, await readFile(file));
console.log(outcome, text);
process.exitCode = { verified: 0, not_sent: 10, unknown: 11, unverified: 12 }[outcome];
