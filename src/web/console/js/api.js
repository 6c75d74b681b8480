// Asking the gateway. Failures come as errors whose message can be shown.

async function ask(path, signal) {
  let answer;
  try {
    answer = await fetch(path, { signal, headers: { accept: 'application/json' } });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The gateway does not answer. Is it still running?');
  }
  if (answer.ok) return answer;
  let told = null;
  try { told = await answer.json(); } catch { /* not ours: a proxy's page */ }
  const error = new Error(told?.message ?? `The answer was ${answer.status} ${answer.statusText}.`);
  error.status = answer.status;
  error.reason = told?.reason ?? '';
  throw error;
}

export async function getJson(path, signal) {
  return (await ask(path, signal)).json();
}

export async function getText(path, signal) {
  return (await ask(path, signal)).text();
}

/** A part of a path, so that no id can leave its place. */
export const part = (text) => encodeURIComponent(text);
