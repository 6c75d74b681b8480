// Header lines of a mail for reading: encoded words (RFC 2047) are decoded, the source keeps them as they were sent.

const WORD = /=\?([\w-]+)(?:\*[\w-]+)?\?([bq])\?([^?\s]*)\?=/gi;

function bytesOf(encoding, text) {
  if (encoding.toLowerCase() === 'b') return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const plain = text.replaceAll('_', ' ').replace(/=([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
}

export function decoded(value) {
  // The space between two encoded words belongs to the encoding.
  return value.replace(/(\?=)\s+(=\?)/g, '$1$2').replace(WORD, (whole, charset, encoding, text) => {
    try { return new TextDecoder(charset, { fatal: true }).decode(bytesOf(encoding, text)); } catch { return whole; }
  });
}
